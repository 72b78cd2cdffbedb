import { chmod, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { atOnce } from '../../base/at-once.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { chunksOf } from '../../base/transfer/chunk.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import { type ManifestEntry, readManifest, stagedPathOf } from '../../base/transfer/manifest.ts';
import { diskTrouble, syncFolder } from './durable.ts';
import type { StagedAttempt } from './staged-attempt.ts';

/** Whether what is staged is what the manifest says. */
export type Sealed =
  | { readonly kind: 'sealed' }
  /** These are to be sent again, by their names on the wire. */
  | { readonly kind: 'mismatch'; readonly paths: readonly string[] };

/** Disk flushes at once: they share the journal's commits. */
const syncsAtOnce = 32;
/** Paths named in one request to send again; the rest is found the next time. */
const mismatchesMax = 1000;

/**
 * Compares everything staged of an attempt with its manifest, drops what the manifest does not list, makes its folders
 * and links, and brings all of it to the disk. After "sealed" the folder changes no more. Throws `RefusedError` for a
 * manifest that is no manifest, or a full disk.
 */
export async function sealAttempt(attempt: StagedAttempt, manifestHash: ContentHash): Promise<Sealed> {
  await attempt.unseal();
  await attempt.seal();
  try {
    if ((await attempt.hashOf('manifest')) !== manifestHash) {
      await attempt.unseal();
      return { kind: 'mismatch', paths: ['manifest'] };
    }
    const { wrong, modes } = await compare(attempt);
    if (wrong.length > 0) {
      await attempt.unseal();
      return { kind: 'mismatch', paths: wrong };
    }
    await flush(attempt, modes);
    return { kind: 'sealed' };
  } catch (error) {
    await attempt.unseal();
    throw diskTrouble(error, 'accept an archive');
  }
}

/** The names of files that are not here as listed, and the modes of those that are. */
async function compare(attempt: StagedAttempt): Promise<Comparison> {
  const wrong: string[] = [];
  const modes = new Map<string, number>();
  const listed = new Set(['manifest', 'log']);
  const links: Extract<ManifestEntry, { kind: 'link' }>[] = [];
  const folders: Extract<ManifestEntry, { kind: 'folder' }>[] = [];
  for await (const entry of readManifest(bytesOf(join(attempt.folder, 'manifest')))) {
    const path = stagedPathOf(entry.path);
    if (entry.kind === 'link') links.push(entry);
    else if (entry.kind === 'folder') folders.push(entry);
    else {
      listed.add(path);
      if (attempt.facts(path)?.sizeBytes !== entry.sizeBytes || (await attempt.hashOf(path)) !== entry.hash) {
        wrong.push(path);
        if (wrong.length >= mismatchesMax) return { wrong, modes };
      } else modes.set(path, keepable(entry.mode));
    }
  }
  // Nothing is made before the whole manifest has been read: one that is refused leaves nothing behind.
  if (wrong.length > 0) return { wrong, modes };
  for (const { path, mode } of folders) await makeKept(join(attempt.folder, stagedPathOf(path)), mode);
  for (const { path } of attempt.list()) if (!listed.has(path)) await attempt.remove(path);
  for (const { path, target } of links) await attempt.addLink(stagedPathOf(path), target);
  return { wrong, modes };
}

interface Comparison {
  readonly wrong: readonly string[];
  readonly modes: ReadonlyMap<string, number>;
}

/** Modes are the job's, but the head must be able to read, move and one day remove what it keeps. */
function keepable(mode: number): number {
  return (mode & 0o777) | 0o600;
}

async function makeKept(path: string, mode: number): Promise<void> {
  await makeFolder(path);
  await chmod(path, keepable(mode) | 0o700);
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of chunksOf(path, 0)) yield data;
}

/** Brings everything of an attempt to the disk. */
async function flush(attempt: StagedAttempt, modes: ReadonlyMap<string, number>): Promise<void> {
  const { folder } = attempt;
  const folders = [folder];
  const files: { path: string; mode: number | undefined }[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) folders.push(path);
    else if (entry.isFile()) files.push({ path: relative(folder, path), mode: modes.get(relative(folder, path)) });
  }
  await attempt.keep(files);
  await atOnce(syncsAtOnce, folders.reverse(), syncFolder);
  await syncFolder(join(folder, '..'));
}
