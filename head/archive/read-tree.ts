import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import { relativePathProblem } from '../../base/names.ts';
import { chunksIn } from '../../base/transfer/chunk.ts';
import { manifestPathProblem } from '../../base/transfer/manifest.ts';
import { ownFolder } from './layout.ts';
import { ManifestRing } from './manifest-ring.ts';

/** Something in a job's folder, as it is listed. */
export interface TreeEntry {
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link';
  readonly sizeBytes: number;
  readonly mode: number;
  /** Empty where none is known. */
  readonly hash: string;
  readonly linkTarget: string;
  /** When a file's content was last changed. */
  readonly modifiedAtMs: number;
}

/** Deepest folder that is looked into. */
const depthMax = 64;

/** Entries whose hashes are looked up together. */
const usualBlock = 20_000;

/**
 * Everything in a folder, folders before what is in them, in the order of names. Hashes come from the manifest where
 * labrun wrote the folder; of both together no more than `block` entries are held. Links are listed and never followed. Nothing at all when
 * there is no such folder.
 */
export async function* treeEntries(folder: string, block = usualBlock): AsyncGenerator<TreeEntry> {
  const manifest = new ManifestRing(join(folder, ownFolder, 'manifest'));
  try {
    let held: TreeEntry[] = [];
    for await (const entry of walk(folder, '', 0)) {
      held.push(entry);
      if (held.length < block) continue;
      yield* await withHashes(manifest, held);
      held = [];
    }
    yield* await withHashes(manifest, held);
  } finally {
    await manifest.close();
  }
}

async function withHashes(manifest: ManifestRing, block: readonly TreeEntry[]): Promise<TreeEntry[]> {
  const files = block.filter(({ kind, path }) => kind === 'file' && manifestPathProblem(path, kind) === undefined);
  const listed = await manifest.find(new Set(files.map(({ path }) => path)));
  return block.map((entry) => {
    const found = listed.get(entry.path);
    return entry.kind === 'file' && found?.sizeBytes === entry.sizeBytes ? { ...entry, hash: found.hash } : entry;
  });
}

/** Opens a file below a folder without following a link anywhere on the way. */
export async function openBelow(folder: string, path: string): Promise<FileHandle> {
  const problem = relativePathProblem(path);
  if (problem) throw new RefusedError(refused('invalid', `Cannot read "${path}": it ${problem}`));
  const parts = path.split('/');
  try {
    for (let depth = 1; depth < parts.length; depth++) {
      const step = await lstat(join(folder, ...parts.slice(0, depth)));
      if (!step.isDirectory()) throw notThere(path);
    }
    const file = await open(join(folder, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
  }
  throw notThere(path);
}

/** A file's bytes from an offset, and then its handle is closed. */
export async function* readFrom(file: FileHandle, offset: number) {
  try {
    yield* chunksIn(file, offset, Number.MAX_SAFE_INTEGER);
  } finally {
    await file.close();
  }
}

async function* walk(folder: string, below: string, depth: number): AsyncGenerator<TreeEntry> {
  if (depth > depthMax) return;
  const names = await readdir(join(folder, below)).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  });
  for (const name of names
    .map((name) => Buffer.from(name))
    .sort(Buffer.compare)
    .map(String)) {
    const path = below === '' ? name : `${below}/${name}`;
    const facts = await lstat(join(folder, path)).catch((error: unknown) => {
      if (isSystemError(error, 'ENOENT')) return undefined; // moved away just now
      throw error;
    });
    if (!facts) continue;
    const entry = { path, sizeBytes: 0, mode: facts.mode & 0o7777, hash: '', linkTarget: '', modifiedAtMs: 0 };
    if (facts.isDirectory()) {
      yield { ...entry, kind: 'folder' };
      yield* walk(folder, path, depth + 1);
    } else if (facts.isSymbolicLink()) {
      yield { ...entry, kind: 'link', linkTarget: await readlink(join(folder, path)) };
    } else if (facts.isFile()) {
      yield { ...entry, kind: 'file', sizeBytes: facts.size, modifiedAtMs: Math.max(0, Math.round(facts.mtimeMs)) };
    }
  }
}

function notThere(path: string): RefusedError {
  return new RefusedError(refused('not-found', `Cannot read "${path}": there is no such file`));
}
