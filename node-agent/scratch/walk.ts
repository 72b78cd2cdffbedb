import type { Stats } from 'node:fs';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Fault, isSystemError } from '../../base/errors.ts';
import { relativePathProblem } from '../../base/names.ts';
import { KeptFolder, textOf } from '../../base/transfer/kept-folder.ts';
import { type FileOwner, kindOf, mayRead } from '../../base/transfer/open-kept.ts';

/** Something in a tree, looked at without following links. */
export interface WalkEntry {
  /** Relative to where the walk began. */
  readonly path: string;
  /** Where it is, with no link on the way. */
  readonly source: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly facts: EntryFacts;
  /** What a link says; empty for others. */
  readonly target: string;
  /** Why it cannot be kept in an archive, or nothing. */
  readonly problem: string | undefined;
  /** A folder that could not be read, or not to its end: what is in it is not known. */
  readonly unread: boolean;
}

/** What of `Stats` is kept for each of a million entries. */
export type EntryFacts = Pick<
  Stats,
  'dev' | 'ino' | 'mode' | 'nlink' | 'uid' | 'gid' | 'size' | 'blocks' | 'mtimeMs' | 'ctimeMs'
>;

/** How a tree is walked. */
export interface WalkRules {
  /** The account of its jobs, where that is not ours: what it may not read is a problem. */
  readonly owner?: FileOwner | undefined;
  /** Entries, at most; the folder at which the walk ended has that as its problem. */
  readonly entriesMax?: number;
}

/** Entries of one walk, unless told otherwise: they are held in memory, a few hundred bytes each. */
export const walkEntriesMax = 1_000_000;
/** Entries whose facts are read at the same time. */
const atOnceMax = 32;

/**
 * Everything below a folder (not itself), folders before what is in them, in the order of their names. `root` has no link
 * on the way. A folder that is not there has nothing in it; one inside that may not be read is there alone, with its
 * problem. Throws `Fault` (`archive-failed`) when the folder itself may not be read.
 */
export async function walk(root: string, rules: WalkRules = {}): Promise<readonly WalkEntry[]> {
  const walking = new Walk(rules);
  const problem = await walking.into(root, '');
  if (problem === 'gone') return [];
  if (problem !== undefined) throw cannotKeep('.', problem);
  return walking.entries;
}

/** A folder and everything below it, like `walk`. */
export async function walkFrom(folder: WalkEntry, rules: WalkRules = {}): Promise<readonly WalkEntry[]> {
  const walking = new Walk(rules);
  await walking.add(folder);
  return walking.entries;
}

const unreadable = 'it may not be read (its mode forbids it)';
const foreign = 'it belongs to another account, which does not let jobs read it';
const swapped = 'it became something else while it was looked at';

/** A walk under way. Paths are bounded, and so is how deep it goes. */
class Walk {
  readonly entries: WalkEntry[] = [];
  readonly #owner: FileOwner | undefined;
  readonly #entriesMax: number;
  #isOver = false;

  constructor({ owner, entriesMax = walkEntriesMax }: WalkRules) {
    this.#owner = owner;
    this.#entriesMax = entriesMax;
  }

  async add(entry: WalkEntry): Promise<void> {
    const place = this.entries.push(entry) - 1;
    if (entry.kind !== 'folder' || entry.problem !== undefined) return;
    const problem = await this.into(entry.source, entry.path);
    if (problem !== undefined) this.entries[place] = { ...entry, problem: goneText(problem), unread: true };
  }

  /** What is below a folder; answers why that could not be looked at. */
  async into(source: string, path: string): Promise<string | undefined> {
    const left = this.#entriesMax - this.entries.length;
    const here = await this.#look(source, path, left + 1);
    if (typeof here === 'string') return here;
    for (const entry of here.slice(0, left)) {
      if (this.#isOver) return undefined;
      await this.add(entry);
    }
    const over = here[left];
    if (over !== undefined && !this.#isOver) {
      this.#isOver = true;
      const problem = `the walk ended here, at ${this.#entriesMax} files and folders; pack what belongs together (tar)`;
      this.entries.push({ ...over, path: path === '' ? '.' : path, source, kind: 'other', problem, unread: true });
    }
    return undefined;
  }

  /** The entries of one folder in the order of their names, or why there are none. */
  async #look(source: string, path: string, max: number): Promise<readonly WalkEntry[] | string> {
    let opened: KeptFolder | undefined;
    try {
      const folder = new KeptFolder(source);
      opened = folder;
      const names = (await folder.list(max)).map(({ name }) => name).sort(Buffer.compare);
      const entries: WalkEntry[] = [];
      for (let at = 0; at < names.length; at += atOnceMax) {
        const some = names.slice(at, at + atOnceMax);
        // All of them, whatever one says: the folder is closed then, and its number may soon stand for another one.
        const looked = await Promise.allSettled(some.map((name) => this.#lookAt(folder, source, path, name)));
        for (const one of looked) {
          if (one.status === 'rejected') throw one.reason;
          if (one.value) entries.push(one.value);
        }
      }
      return entries;
    } catch (error) {
      // Listed, but not to be entered, is not to be read either.
      if (isSystemError(error, 'EACCES')) return unreadable;
      if (isSystemError(error, 'ENOENT')) return 'gone';
      if (isSystemError(error, 'ENOTDIR') || (error instanceof Fault && error.code === 'swapped')) return swapped;
      throw error;
    } finally {
      opened?.close();
    }
  }

  async #lookAt(folder: KeptFolder, source: string, below: string, name: Buffer): Promise<WalkEntry | undefined> {
    const found = await inspect(folder.at(name));
    if (found === undefined) return undefined;
    const text = textOf(name);
    const shown = text ?? name.toString('latin1');
    const entry = describe(below === '' ? shown : `${below}/${shown}`, `${source}/${shown}`, found, this.#owner);
    return text === undefined ? { ...entry, problem: 'its name is no UTF-8 text' } : entry;
  }
}

/**
 * One entry, by its path from `root`, which has no link on the way. A link that the job made on the way to it may be
 * gone through, but not out of `root`. Nothing when it is not there; throws `Fault` (`archive-failed`) when it may not
 * be looked at.
 */
export async function look(root: string, path: string, owner?: FileOwner): Promise<WalkEntry | undefined> {
  let folder: KeptFolder | undefined;
  try {
    const above = await realpath(join(root, dirname(path)));
    const isInside = above === root || above.startsWith(`${root}/`);
    if (!isInside) throw cannotKeep(path, 'a link on the way to it leads elsewhere');
    folder = new KeptFolder(above);
    const found = await inspect(folder.at(basename(path)));
    return found && describe(path, join(above, basename(path)), found, owner);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    if (isSystemError(error, 'EACCES')) throw cannotKeep(path, unreadable);
    if (error instanceof Fault && error.code === 'swapped') throw cannotKeep(path, swapped);
    throw error;
  } finally {
    folder?.close();
  }
}

/** What cannot be archived, and why. */
export function unkept(path: string, why: string): string {
  return `Cannot archive "${path}": ${why}`;
}

/** The same as a fault. */
export function cannotKeep(path: string, why: string): Fault {
  return new Fault('archive-failed', unkept(path, why));
}

function describe(path: string, source: string, found: Found, owner: FileOwner | undefined): WalkEntry {
  const { all, target } = found;
  const { dev, ino, mode, nlink, uid, gid, size, blocks, mtimeMs, ctimeMs } = all;
  const facts = { dev, ino, mode, nlink, uid, gid, size, blocks, mtimeMs, ctimeMs };
  const entry = { path, source, facts, target: target?.toString() ?? '', unread: false };
  if (target !== undefined) {
    const oddTarget = textOf(target) === undefined ? 'it points to a name that is no UTF-8 text' : undefined;
    return { ...entry, kind: 'link', problem: pathProblem(path) ?? oddTarget };
  }
  const isFolder = all.isDirectory();
  if (!isFolder && !all.isFile()) {
    return { ...entry, kind: 'other', problem: `it is ${kindOf(all)}; only files, folders and links are kept` };
  }
  const problem = pathProblem(path) ?? (owner && !mayRead(owner, facts, isFolder) ? foreign : undefined);
  return { ...entry, kind: isFolder ? 'folder' : 'file', problem };
}

function pathProblem(path: string): string | undefined {
  const problem = relativePathProblem(path);
  return problem === undefined ? undefined : `its path ${problem}`;
}

/** A folder that has gone is one that was swapped for nothing. */
function goneText(problem: string): string {
  return problem === 'gone' ? swapped : problem;
}

interface Found {
  readonly all: Stats;
  /** Of a link. */
  readonly target: Buffer | undefined;
}

/** What is at a path; nothing when it has gone, or become something else meanwhile. */
async function inspect(path: Buffer): Promise<Found | undefined> {
  try {
    const all = await lstat(path);
    return { all, target: all.isSymbolicLink() ? await readlink(path, { encoding: 'buffer' }) : undefined };
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EINVAL')) return undefined;
    throw error;
  }
}
