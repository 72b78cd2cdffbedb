import { lstatSync, readdirSync } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError } from '../../base/errors.ts';
import { nameKey, relativePathProblem } from '../../base/names.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import { manifestEntriesMax } from '../../base/transfer/manifest.ts';
import type { FileOwner } from '../../base/transfer/open-kept.ts';
import { formatBytes } from '../../config/units.ts';
import type { Collected, CollectedFile } from '../ports.ts';
import type { FileHashes } from './file-hashes.ts';
import { type Chosen, selectNews } from './select.ts';
import { readSnapshot } from './snapshot.ts';
import { listedMaxBytes } from './spare-folders.ts';
import { UnbackedBytes } from './unbacked.ts';
import { cannotKeep, type EntryFacts, unkept, type WalkEntry, walk } from './walk.ts';

/** What a final sweep looks for. Patterns and paths are rendered already; folders have no link on the way. */
export interface SweepOrder {
  /** `$LABRUN_ARCHIVE`: a real folder. */
  readonly archive: string;
  readonly work: string;
  /** Where the state before the job was written down. */
  readonly snapshot: string;
  readonly patterns: readonly string[];
  /** Must be there and not empty, in the working directory or the archive. */
  readonly expect: readonly string[];
  /** The account that the job ran as, where that is not ours. */
  readonly owner: FileOwner | undefined;
  /** Bytes that files may claim without taking them on the disk. */
  readonly holesMaxBytes: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Most entries that an archive may have. Default: what a manifest takes, beside the log. */
  readonly entriesMax?: number;
}

/**
 * What an attempt keeps: all of `$LABRUN_ARCHIVE` and what the patterns choose, with their hashes. All its processes
 * must be dead. One socket must not cost the results of a night: what cannot be kept is left out and named, and the rest
 * is kept. Throws `Fault` (`archive-failed`) when the archive folder is no folder any more.
 */
export async function collect(order: SweepOrder, hashes: FileHashes): Promise<Collected> {
  const { owner, entriesMax = manifestEntriesMax - 1 } = order;
  const unreadable: string[] = [];
  const all = () => walk(order.archive, { owner, entriesMax });
  const archived = isEmptyFolder(order.archive) ? [] : await readable(unreadable, all);
  const chosen = order.patterns.length === 0 ? nothing : await choose(order);
  const { kept, problems } = merge(archived, chosen.entries, entriesMax);
  problems.unshift(...unreadable, ...chosen.problems);
  const unbacked = new UnbackedBytes(order.holesMaxBytes);
  const files = kept.filter(({ kind, path, facts }) => {
    if (kind !== 'file' || unbacked.take(facts)) return kind === 'file';
    problems.push(unkept(path, claimText(facts, order.holesMaxBytes)));
    return false;
  });
  const wanted = files.map(({ source, facts }) => ({ path: source, owner, sizeBytes: facts.size }));
  const found = wanted.length === 0 ? [] : await hashes.of(wanted);
  const byPath = new Map<string, ContentHash>();
  for (const [at, { path }] of files.entries()) {
    const hash = found[at];
    if (hash === undefined || hash instanceof Fault) problems.push(unkept(path, `it cannot be read: ${hash?.message}`));
    else byPath.set(path, hash);
  }
  const missing: string[] = [];
  for (const path of order.expect) if (await isMissing(order, path)) missing.push(path);
  const whole = kept.filter(({ kind, path }) => kind !== 'file' || byPath.has(path));
  const entries = whole.map((entry) => collected(entry, owner, byPath.get(entry.path)));
  return { files: entries, missing, problems };
}

function claimText({ size, blocks, nlink }: EntryFacts, maxBytes: number): string {
  const [long, taken, most] = [size, blocks * 512, maxBytes].map(formatBytes);
  const named = nlink > 1 ? ` and has ${nlink} names` : '';
  return (
    `it is ${long} long, takes ${taken} of disk${named}; beyond ${most} what an archive claims without holding it is not ` +
    'kept (limits.holes of the node); pack it, for instance with tar -S'
  );
}

const nothing: Chosen = { entries: [], problems: [] };

async function choose(order: SweepOrder): Promise<Chosen> {
  return selectNews({ ...order, before: await readSnapshot(order.snapshot) });
}

interface KeptEntry extends WalkEntry {
  readonly kind: 'file' | 'folder' | 'link';
}

/** What is found, or nothing when the job took even us the right to read where it starts: then that is a problem. */
async function readable(problems: string[], find: () => Promise<readonly WalkEntry[]>): Promise<readonly WalkEntry[]> {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'archive-failed') throw error;
    problems.push(error.message);
    return [];
  }
}

/**
 * Whether a job kept nothing, asked synchronously because most short jobs do. A link in the place of the archive would
 * have us read another folder as its results, and is refused.
 */
function isEmptyFolder(archive: string): boolean {
  const facts = lstatSync(archive, { throwIfNoEntry: false });
  if (facts && !facts.isDirectory()) throw cannotKeep('.', 'the job replaced its archive folder');
  try {
    if (facts && facts.size > listedMaxBytes) return false;
    return facts === undefined || readdirSync(archive).length === 0;
  } catch (error) {
    if (isSystemError(error, 'EACCES')) return false; // the walk meets the same, and names it
    throw error;
  }
}

/** One list, folders that both have once, and why the others are not in it. */
function merge(
  archived: readonly WalkEntry[],
  chosen: readonly WalkEntry[],
  entriesMax: number,
): { kept: readonly KeptEntry[]; problems: string[] } {
  const all = new Map<string, KeptEntry>();
  const problems: string[] = [];
  for (const entry of [...archived, ...chosen]) {
    const key = nameKey(entry.path);
    const problem = problemOf(entry, key, all.get(key));
    if (problem !== undefined) problems.push(unkept(entry.path, problem));
    else if (entry.kind !== 'other' && !all.has(key)) all.set(key, { ...entry, kind: entry.kind });
  }
  const kept = [...all.values()].filter(({ path }) => !isBelowLost(path, all));
  const over = kept[entriesMax];
  if (over !== undefined) problems.push(unkept(over.path, `an archive has at most ${entriesMax} files and folders`));
  return { kept: kept.slice(0, entriesMax), problems };
}

/** Why an entry cannot be kept under its name, beside the one that has it already; nothing when it can. */
function problemOf(entry: WalkEntry, key: string, other: KeptEntry | undefined): string | undefined {
  if (entry.kind === 'other' || entry.problem !== undefined) return entry.problem ?? 'it is no file';
  if (key === '.labrun' || key.startsWith('.labrun/')) return '".labrun" is labrun\'s own';
  if (other === undefined) return undefined;
  if (other.path !== entry.path) return `on disks that ignore case "${other.path}" has the same name`;
  if (other.kind === 'folder' && entry.kind === 'folder') return undefined;
  return 'it is in $LABRUN_ARCHIVE, and "archive" chooses one of that name in the working directory';
}

/** Whether the folder above an entry is one that was left out, or no folder. */
function isBelowLost(path: string, all: ReadonlyMap<string, KeptEntry>): boolean {
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    const above = all.get(nameKey(path.slice(0, end)));
    if (above !== undefined && (above.kind !== 'folder' || above.path !== path.slice(0, end))) return true;
  }
  return false;
}

function collected(
  { path, kind, source, facts, target }: KeptEntry,
  owner: FileOwner | undefined,
  hash: ContentHash | undefined,
): CollectedFile {
  const sizeBytes = kind === 'file' ? facts.size : 0;
  const linkTarget = kind === 'link' ? target : undefined;
  return { path, kind, source, owner, sizeBytes, mode: facts.mode & 0o7777, hash, linkTarget };
}

async function isMissing(order: SweepOrder, path: string): Promise<boolean> {
  return (await isEmpty(order.work, path)) && (await isEmpty(order.archive, path));
}

/** Whether there is nothing at a path, or nothing in it. What a link leads to outside of the folder is not there. */
async function isEmpty(folder: string, path: string): Promise<boolean> {
  if (relativePathProblem(path) !== undefined) return true;
  try {
    const whole = join(folder, path);
    const above = await realpath(dirname(whole));
    if (above !== folder && !above.startsWith(`${folder}/`)) return true;
    const facts = await lstat(whole);
    return facts.isDirectory() ? (await readdir(whole)).length === 0 : facts.size === 0;
  } catch (error) {
    // What may not be read is not there for anyone.
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG')) return true;
    throw error;
  }
}
