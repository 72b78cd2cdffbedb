import { copyFile, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { syncFile, syncFolder, writeDurably } from './durable.ts';
import { type ArchiveLayout, type BatchPlace, ownFolder } from './layout.ts';
import type { Trash } from './trash.ts';

/** Who deleted a batch's results, and by which record of the log. */
export interface Deletion {
  readonly seq: number;
  readonly by: string;
  readonly atMs: number;
  /** `jobs.jsonl` stays as well. */
  readonly keepsJobs: boolean;
}

/** What stays beside `batch.json`: says that this was no accident, and which deletion has been done. */
const markName = 'deleted.json';

/**
 * Takes a batch's tree out of the archive but for its `batch.json`. Repeatable: results that came after this deletion, of
 * jobs that were retried, are left alone when it is done again.
 */
export async function deleteTree(
  layout: ArchiveLayout,
  trash: Trash,
  place: BatchPlace,
  deletion: Deletion,
): Promise<void> {
  const folder = layout.batchFolder(place);
  const kept = `${join(layout.stagingFolder, place.batchId)}.kept`;
  const mark = await readMark(folder);
  if (mark !== undefined && isDone(deletion, mark)) return;
  if (mark !== undefined || (await hasBatchFile(folder))) {
    await rm(kept, { recursive: true, force: true });
    await makeFolder(join(kept, ownFolder));
    await copyFile(join(folder, ownFolder, 'batch.json'), join(kept, ownFolder, 'batch.json'));
    await syncFile(join(kept, ownFolder, 'batch.json'));
    if (deletion.keepsJobs)
      await copyIfThere(join(folder, ownFolder, 'jobs.jsonl'), join(kept, ownFolder, 'jobs.jsonl'));
    await writeMark(kept, deletion);
    await trash.take(folder, `${place.batchId}.${deletion.seq}`);
  }
  try {
    await rename(kept, folder);
    await syncFolder(dirname(folder));
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error; // somebody had removed all of it by hand
  }
}

/** Notes in a batch's folder that a deletion has been done. */
export async function writeMark(folder: string, { seq, by, atMs }: Omit<Deletion, 'keepsJobs'>): Promise<void> {
  const facts = { seq, deletedBy: by, deletedAt: new Date(atMs).toISOString() };
  await writeDurably(join(folder, ownFolder, markName), `${JSON.stringify(facts)}\n`);
}

/**
 * Whether a folder that was emptied by `mark` needs not be emptied again. After the log has lost its end numbers are given
 * anew, so time must agree: a deletion that is younger than the mark, by either, has not been done.
 */
export function isDone({ seq, atMs }: Pick<Deletion, 'seq' | 'atMs'>, mark: Pick<Deletion, 'seq' | 'atMs'>): boolean {
  return mark.seq >= seq && mark.atMs >= atMs;
}

async function copyIfThere(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to);
    await syncFile(to);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error; // somebody had removed it by hand
  }
}

/** The record by which a folder was last emptied; nothing when it was not. */
async function readMark(folder: string): Promise<Pick<Deletion, 'seq' | 'atMs'> | undefined> {
  try {
    const text = await readFile(join(folder, ownFolder, markName), 'utf8');
    const seq = /"seq":(\d+)/.exec(text)?.[1];
    const atMs = Date.parse(/"deletedAt":"([^"]+)"/.exec(text)?.[1] ?? '');
    return seq === undefined || Number.isNaN(atMs) ? undefined : { seq: Number(seq), atMs };
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

async function hasBatchFile(folder: string): Promise<boolean> {
  try {
    await readFile(join(folder, ownFolder, 'batch.json'));
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
