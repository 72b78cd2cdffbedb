import type { Stats } from 'node:fs';
import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import { glob } from 'tinyglobby';
import { isSystemError, messageOf } from '../../base/errors.ts';

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

/** Looks for the files of a pattern; their paths are relative to `base`. Rejects with `SourceError`. */
export async function scanGlob(folder: string, pattern: string, base: string): Promise<readonly Found[]> {
  const absolute = resolve(folder, base);
  const paths = await glob(pattern, {
    cwd: folder,
    followSymbolicLinks: false,
    onlyFiles: true,
    expandDirectories: false,
  });
  if (paths.length === 0) throw new SourceError(`"${pattern}" matches no file`);
  if (paths.length > entriesMax)
    throw new SourceError(`"${pattern}" matches ${paths.length} files (at most ${entriesMax})`);
  const found: Found[] = [];
  for (const path of paths.sort()) {
    const whole = resolve(folder, path);
    const facts = await look(path, () => stat(whole));
    if (facts.isFile()) found.push(fileOf(path, posixPath(relative(absolute, whole)), whole, facts));
  }
  return found;
}

async function scanFolder(root: string, realRoot: string, below: string, facts: Stats, found: Found[]): Promise<void> {
  found.push({ kind: 'folder', path: below, mode: facts.mode & 0o777 });
  const names = await look(below, () => readdir(join(root, below)));
  for (const name of names.sort()) {
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

async function look<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) throw new SourceError(`"${path}" does not exist`);
    if (isSystemError(error, 'EACCES', 'EPERM')) throw new SourceError(`"${path}" may not be read`);
    throw new SourceError(`"${path}" cannot be read: ${messageOf(error)}`);
  }
}

function posixPath(path: string): string {
  return sep === '/' ? path : path.replaceAll(sep, '/');
}
