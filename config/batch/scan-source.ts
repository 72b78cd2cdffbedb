import type { Dirent, Stats } from 'node:fs';
import { lstat, opendir, readlink, realpath, stat } from 'node:fs/promises';
import { dirname, join, posix, resolve, sep } from 'node:path';
import { Fault, isSystemError, messageOf } from '../../base/errors.ts';
import { Glob } from '../../base/glob.ts';

/** What a path of the job file stands for, before its files are hashed. */
export type Found =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly absolute: string;
      readonly mode: number;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

/** Most files and folders that one path may stand for. */
const entriesMax = 100_000;
/** Most files and folders that a pattern is tried on, and that one folder may hold. */
const lookedMax = 1_000_000;
/** How long a pattern may take on the entries of one folder, in milliseconds. */
const matchMaxMs = 2_000;

/** Cannot be laid out; the message says why. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

/** Looks at a path, which may be a folder. Rejects with `SourceError`. Links inside a folder are kept as links. */
export async function scanSource(folder: string, source: string): Promise<readonly Found[]> {
  const absolute = resolve(folder, source);
  const found: Found[] = [];
  // Whoever names a link by itself means what it points to.
  const facts = await look(source, () => stat(absolute));
  if (facts.isDirectory()) await scanFolder(absolute, await realpath(absolute), '', facts, found);
  else if (source.endsWith('/')) throw new SourceError(`"${source}" is a file, not a folder`);
  else found.push(fileOf(source, '', absolute, facts));
  return found;
}

/**
 * Looks for what a pattern stands for below `base`, to which the paths found are relative: files, links to files, and
 * folders with all that is in them. Names that begin with a dot must be asked for. Rejects with `SourceError`.
 */
export async function scanGlob(folder: string, pattern: string, base: string): Promise<readonly Found[]> {
  const below = base === '' ? pattern : pattern.slice(base.length + 1);
  const root = resolve(folder, base);
  const found: Found[] = [];
  const depth = below.includes('**') ? Number.POSITIVE_INFINITY : below.split('/').length;
  const walk: GlobWalk = {
    root,
    realRoot: await look(base, () => realpath(root)),
    glob: globOf(below),
    found,
    looked: 0,
  };
  await scanMatches(walk, '', depth);
  if (found.length === 0) throw new SourceError(`"${pattern}" matches nothing`);
  return found;
}

interface GlobWalk {
  readonly root: string;
  readonly realRoot: string;
  readonly glob: Glob;
  readonly found: Found[];
  looked: number;
}

async function scanMatches(walk: GlobWalk, below: string, depth: number): Promise<void> {
  const { root, realRoot, glob, found } = walk;
  const entries = await look(below, () => entriesOf(join(root, below)));
  walk.looked += entries.length;
  if (walk.looked > lookedMax)
    throw new SourceError(`looks at more than ${lookedMax} files; name a folder to begin with`);
  const sorted = entries.map((entry) => kindOf(below, entry)).sort((a, b) => (a.path < b.path ? -1 : 1));
  const fits = tryAll(
    glob,
    sorted.map(({ path }) => path),
  );
  for (const [index, { path, ...entry }] of sorted.entries()) {
    if (found.length >= entriesMax) throw new SourceError(`matches more than ${entriesMax} files`);
    if (!fits[index]) {
      if (entry.folder && depth > 1) await scanMatches(walk, path, depth - 1);
      continue;
    }
    const facts = await look(path, () => stat(join(root, path)));
    if (entry.folder) await scanFolder(root, realRoot, path, facts, found);
    else if (facts.isDirectory()) throw new SourceError(`"${path}" is a link to a folder; name that folder itself`);
    else found.push(fileOf(path, path, join(root, path), facts));
  }
}

function kindOf(below: string, entry: Dirent): { readonly path: string; readonly folder: boolean } {
  return { path: below === '' ? entry.name : `${below}/${entry.name}`, folder: entry.isDirectory() };
}

function globOf(text: string): Glob {
  return asSourceError(() => new Glob(text));
}

function tryAll(glob: Glob, paths: readonly string[]): readonly boolean[] {
  return asSourceError(() => glob.test(paths, matchMaxMs));
}

function asSourceError<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw error instanceof Fault && error.code === 'glob' ? new SourceError(`the pattern ${error.message}`) : error;
  }
}

async function scanFolder(root: string, realRoot: string, below: string, facts: Stats, found: Found[]): Promise<void> {
  found.push({ kind: 'folder', path: below, mode: facts.mode & 0o777 });
  const entries = await look(below, () => entriesOf(join(root, below)));
  for (const name of entries.map((entry) => entry.name).sort()) {
    if (found.length >= entriesMax) throw new SourceError(`"${root}" holds more than ${entriesMax} files`);
    const path = below === '' ? name : `${below}/${name}`;
    const entry = await look(path, () => lstat(join(root, path)));
    if (entry.isDirectory()) await scanFolder(root, realRoot, path, entry, found);
    else if (entry.isSymbolicLink()) found.push(await linkOf(root, realRoot, path));
    else found.push(fileOf(path, path, join(root, path), entry));
  }
}

function fileOf(shown: string, path: string, absolute: string, facts: Stats): Found {
  if (!facts.isFile()) throw new SourceError(`"${shown}" is neither a file nor a folder`);
  return { kind: 'file', path, absolute, mode: facts.mode & 0o777, sizeBytes: facts.size };
}

/** A link that stays inside its folder, by its text and, where it points to something, by what that is. */
async function linkOf(root: string, realRoot: string, path: string): Promise<Found> {
  const target = await look(path, () => readlink(join(root, path)));
  const leaves = posix.normalize(posix.join(posix.dirname(path), target)).split('/')[0] === '..';
  if (leaves || posix.isAbsolute(target) || !(await staysInside(realRoot, join(root, path), target))) {
    throw new SourceError(
      `"${path}" is a link to "${target}", outside of its folder; copy what it points to, or leave it out`,
    );
  }
  return { kind: 'link', path, target };
}

async function staysInside(realRoot: string, link: string, target: string): Promise<boolean> {
  try {
    const real = await realpath(resolve(await realpath(dirname(link)), target));
    return real === realRoot || real.startsWith(realRoot + sep);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) return true; // points to nothing; its text was checked
    throw new SourceError(`"${link}" cannot be followed: ${messageOf(error)}`);
  }
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  const entries: Dirent[] = [];
  for await (const entry of await opendir(folder, { bufferSize: 1_024 })) {
    if (entries.push(entry) > lookedMax) throw new SourceError(`"${folder}" holds more than ${lookedMax} files`);
  }
  return entries;
}

async function look<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SourceError) throw error;
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) throw new SourceError(`"${path}" does not exist`);
    if (isSystemError(error, 'EACCES', 'EPERM')) throw new SourceError(`"${path}" may not be read`);
    throw new SourceError(`"${path}" cannot be read: ${messageOf(error)}`);
  }
}
