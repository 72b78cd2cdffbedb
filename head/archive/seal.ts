import { chmod, readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { atOnce } from '../../base/at-once.ts';
import { isSystemError } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { chunksOf } from '../../base/transfer/chunk.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import { type ManifestEntry, readManifest, stagedPathOf } from '../../base/transfer/manifest.ts';
import { diskTrouble, syncFolder } from './durable.ts';
import type { StagedAttempt } from './staged-attempt.ts';

/** Whether what is staged is what the manifest says. */
export type Sealed =
  | { readonly kind: 'sealed' }
  /** These are to be sent again, by their names on the wire; all of it, where none is named. */
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
  // Told again, such as by a node that dials anew: it may be on its way into the tree by now.
  if (attempt.sealedAs === manifestHash) return { kind: 'sealed' };
  await attempt.unseal();
  await attempt.seal();
  try {
    if ((await attempt.hashOf('manifest')) !== manifestHash) {
      await attempt.unseal();
      return { kind: 'mismatch', paths: attempt.list().length === 0 ? [] : ['manifest'] };
    }
    const { wrong, modes } = await compare(attempt);
    if (wrong.length > 0) {
      await attempt.unseal();
      return { kind: 'mismatch', paths: wrong };
    }
    const gone = await flush(attempt, modes);
    if (gone.length > 0) {
      await drop(attempt, gone);
      await attempt.unseal();
      return { kind: 'mismatch', paths: gone.slice(0, mismatchesMax) };
    }
    attempt.noteSealed(manifestHash);
    return { kind: 'sealed' };
  } catch (error) {
    // Somebody has removed what was there.
    const isGone = isSystemError(error, 'ENOENT');
    if (isGone) await dropAll(attempt);
    await attempt.unseal();
    if (isGone) return { kind: 'mismatch', paths: [] };
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
  // What is listed no more gives way first: a folder or a link may have taken its place.
  await drop(
    attempt,
    attempt.list().flatMap(({ path }) => (listed.has(path) ? [] : [path])),
  );
  await dropFolders(attempt.folder, 'archive', foldersOf(listed, folders, links));
  for (const { path, mode } of folders) await makeKept(join(attempt.folder, stagedPathOf(path)), mode);
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

/** The folders that something listed is in, and those that are listed themselves, by their names on the wire. */
function foldersOf(files: Iterable<string>, ...others: (readonly { readonly path: string }[])[]): ReadonlySet<string> {
  const [folders = [], links = []] = others;
  const kept = new Set(folders.map(({ path }) => stagedPathOf(path)));
  for (const path of [...files, ...links.map((link) => stagedPathOf(link.path)), ...kept])
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) kept.add(path.slice(0, cut));
  return kept;
}

/** Removes folders that only what is listed no more was in. */
async function dropFolders(root: string, folder: string, kept: ReadonlySet<string>): Promise<void> {
  for (const name of await foldersIn(join(root, folder))) {
    const path = `${folder}/${name}`;
    if (kept.has(path)) await dropFolders(root, path, kept);
    else await rm(join(root, path), { recursive: true, force: true });
  }
}

async function foldersIn(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return []; // nothing but a log has come
    throw error;
  }
}

function dropAll(attempt: StagedAttempt): Promise<void> {
  return drop(
    attempt,
    attempt.list().map(({ path }) => path),
  );
}

async function drop(attempt: StagedAttempt, paths: readonly string[]): Promise<void> {
  for (const path of paths) await attempt.remove(path);
}

/** Brings everything of an attempt to the disk. Answers what of it was not there, by its names on the wire. */
async function flush(attempt: StagedAttempt, modes: ReadonlyMap<string, number>): Promise<readonly string[]> {
  const { folder } = attempt;
  const folders = [folder];
  const files: { path: string; mode: number | undefined }[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) folders.push(path);
    else if (entry.isFile()) files.push({ path: relative(folder, path), mode: modes.get(relative(folder, path)) });
  }
  const found = new Set(files.map(({ path }) => path));
  const gone = [...modes.keys()].filter((path) => !found.has(path));
  if (gone.length > 0) return gone;
  try {
    await attempt.keep(files);
  } catch (error) {
    // Asked a second time the system would say that all is well: what it could not write is no longer due to be written.
    if (isSystemError(error, 'EIO')) await dropAll(attempt);
    throw error;
  }
  await atOnce(syncsAtOnce, folders.reverse(), syncFolder);
  await syncFolder(join(folder, '..'));
  return [];
}
