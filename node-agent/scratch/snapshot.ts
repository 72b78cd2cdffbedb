import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, isSystemError } from '../../base/errors.ts';
import { openKept } from '../../base/transfer/open-kept.ts';
import { type WalkEntry, walk } from './walk.ts';

/** What a view held before its job started: marks by path. */
export type Snapshot = ReadonlyMap<string, string>;

/**
 * Writes down what is below `folder` now. Files that were made for this very job (`except`, absolute) are left out: an
 * archive that names them wants them.
 */
export async function takeSnapshot(folder: string, file: string, except: readonly string[]): Promise<void> {
  const own = new Set(except);
  const all = await walk(folder);
  // What is not written down would later pass for the job's own.
  const unread = all.find((entry) => entry.unread);
  if (unread) throw new Fault('invalid-input', `Cannot note what is laid out in "${unread.path}": ${unread.problem}`);
  const entries = all.filter((entry) => !own.has(join(folder, entry.path)));
  await writeFile(file, JSON.stringify(entries.map((entry) => [entry.path, markOf(entry)])));
}

/** Reads it back; empty when none was taken, because nothing was laid out. Throws like `openKept`. */
export async function readSnapshot(file: string): Promise<Snapshot> {
  try {
    const handle = await openKept({ path: file });
    try {
      return new Map(JSON.parse(await handle.readFile('utf8')) as [string, string][]); // written by takeSnapshot
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return new Map();
    throw error;
  }
}

/**
 * Whether something is new or changed. A rewrite moves the modification time, which was set back when it was laid out;
 * one that restores that time moves the change time, which nobody can set. A folder changes only by what is in it.
 */
export function isNews(entry: WalkEntry, before: Snapshot): boolean {
  const mark = before.get(entry.path);
  return mark === undefined || (entry.kind !== 'folder' && mark !== markOf(entry));
}

function markOf({ kind, facts }: WalkEntry): string {
  return kind === 'folder' ? kind : `${kind} ${facts.size} ${facts.mtimeMs} ${facts.ctimeMs} ${facts.ino}`;
}
