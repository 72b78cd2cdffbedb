import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, isSystemError } from '../../base/errors.ts';
import { relativePathProblem } from '../../base/names.ts';

/** Something in a tree, looked at without following links. */
export interface WalkEntry {
  /** Relative to where the walk began. */
  readonly path: string;
  readonly source: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly facts: Stats;
  /** Why it cannot be kept in an archive, or nothing. */
  readonly problem: string | undefined;
  /** A folder that may not be read: what is in it is not known. */
  readonly unread: boolean;
}

/** Entries whose facts are read at the same time. */
const atOnceMax = 32;

/**
 * Everything below a folder (not itself), folders before what is in them, in the order of their names. A folder that
 * is not there has nothing in it; one inside that may not be read is there alone, with its problem. Throws `Fault`
 * (`archive-failed`) when the folder itself may not be read.
 */
export async function walk(root: string, below = ''): Promise<readonly WalkEntry[]> {
  const entries = await inside(root, below);
  if (entries === undefined) throw cannotKeep(below === '' ? '.' : below, unreadable);
  return entries;
}

/** A folder and everything below it, like `walk`. */
export async function walkFrom(root: string, folder: WalkEntry): Promise<readonly WalkEntry[]> {
  const entries = await inside(root, folder.path);
  return entries ? [folder, ...entries] : [{ ...folder, problem: unreadable, unread: true }];
}

const unreadable = 'it may not be read (its mode forbids it)';

/** What is below a folder; nothing when it may not be read. */
async function inside(root: string, below: string): Promise<readonly WalkEntry[] | undefined> {
  const here = await lookInto(root, below);
  if (here === undefined) return undefined;
  const entries: WalkEntry[] = [];
  for (const entry of here) {
    if (entry.kind !== 'folder' || entry.problem !== undefined) entries.push(entry);
    else for (const inner of await walkFrom(root, entry)) entries.push(inner);
  }
  return entries;
}

/** The entries of one folder; nothing when its mode forbids to list it, or to look at what it lists. */
async function lookInto(root: string, below: string): Promise<readonly WalkEntry[] | undefined> {
  try {
    const names = await list(join(root, below), below);
    const entries: WalkEntry[] = [];
    for (let at = 0; at < names.length; at += atOnceMax) {
      const some = names.slice(at, at + atOnceMax);
      for (const entry of await Promise.all(some.map((name) => lookAt(root, below, name)))) entries.push(entry);
    }
    return entries;
  } catch (error) {
    if (isSystemError(error, 'EACCES')) return undefined;
    throw error;
  }
}

/** One entry, by its path from `root`. Rejects with the system's error when it is not there. */
export async function look(root: string, path: string): Promise<WalkEntry> {
  const source = join(root, path);
  return describe(path, source, await lstat(source));
}

/** What cannot be archived, and why. */
export function unkept(path: string, why: string): string {
  return `Cannot archive "${path}": ${why}`;
}

/** The same as a fault. */
export function cannotKeep(path: string, why: string): Fault {
  return new Fault('archive-failed', unkept(path, why));
}

function describe(path: string, source: string, facts: Stats): WalkEntry {
  const pathProblem = relativePathProblem(path);
  const problem = pathProblem === undefined ? undefined : `its path ${pathProblem}`;
  if (facts.isFile()) return { path, source, facts, kind: 'file', problem, unread: false };
  if (facts.isDirectory()) return { path, source, facts, kind: 'folder', problem, unread: false };
  if (facts.isSymbolicLink()) return { path, source, facts, kind: 'link', problem, unread: false };
  const what = facts.isFIFO() ? 'a FIFO' : facts.isSocket() ? 'a socket' : 'a device';
  const oddKind = `it is ${what}; only files, folders and links are kept`;
  return { path, source, facts, kind: 'other', problem: oddKind, unread: false };
}

async function lookAt(root: string, below: string, name: string | Buffer): Promise<WalkEntry> {
  const path = (text: string) => (below === '' ? text : `${below}/${text}`);
  if (typeof name === 'string') return look(root, path(name));
  const source = Buffer.concat([Buffer.from(`${join(root, below)}/`), name]);
  const shown = name.toString('latin1');
  const entry = describe(path(shown), source.toString('latin1'), await lstat(source));
  return { ...entry, problem: 'its name is no UTF-8 text' };
}

/** Names in order. Those that are no UTF-8, which have no text to be kept under, come as bytes. */
async function list(folder: string, path: string): Promise<readonly (string | Buffer)[]> {
  try {
    const names = (await readdir(folder)).sort();
    if (!names.some((name) => name.includes('\uFFFD'))) return names;
    const bytes = await readdir(folder, { encoding: 'buffer' });
    return bytes.map((name) => (Buffer.from(name.toString()).equals(name) ? name.toString() : name));
  } catch (error) {
    if (isSystemError(error, 'ENOENT') && path === '') return [];
    throw error;
  }
}
