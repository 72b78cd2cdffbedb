import { createWriteStream } from 'node:fs';
import { open, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isSystemError } from '../../base/errors.ts';
import { asBatchId, type BatchId } from '../../base/ids.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { syncFolder } from './durable.ts';
import { type ArchiveLayout, type BatchPlace, ownFolder } from './layout.ts';

/** A batch by its names. */
export interface BatchNames {
  readonly batchId: BatchId;
  readonly namespace: string;
  readonly name: string;
}

/** Of a file that is being written. */
const partEnding = '.part';
const buildLog = /^build-.+\.log$/;

/** Whose a folder `<namespace>/<batch>` is. `foreign`: there is one, and labrun did not write it. */
export type FolderOwner = BatchId | 'foreign' | undefined;

/**
 * Reads whose a batch's folder is: `batch.json` begins with the id for this. With `aside`, of the folder that was set aside
 * for this batch.
 */
export async function ownerOf(
  layout: ArchiveLayout,
  namespace: string,
  name: string,
  aside?: BatchId,
): Promise<FolderOwner> {
  const batchId = aside ?? ('' as BatchId); // the id names only folders set aside
  const place = { namespace, name, batchId, replaced: aside !== undefined };
  try {
    const file = await open(layout.batchOwn(place, 'batch.json'), 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
      const match = /^\{"id":"([0-9A-Z]{26})"/.exec(buffer.toString('latin1', 0, bytesRead));
      return asBatchId(match?.[1] ?? '') ?? 'foreign';
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
  return (await holdsAnything(layout.batchFolder(place))) ? 'foreign' : undefined;
}

/** Makes the folder of a batch with its `batch.json`, whole or not at all. `body` is the JSON after the id's comma. */
export async function writeBatchFile(
  layout: ArchiveLayout,
  place: BatchPlace,
  body: AsyncIterable<string | Uint8Array>,
): Promise<void> {
  await writeWhole(layout.batchOwn(place, 'batch.json'), beginWithId(place.batchId, body));
}

/** Writes `jobs.jsonl`: how every job of a batch that has ended, ended. */
export async function writeJobsFile(path: string, pages: AsyncIterable<string>): Promise<void> {
  await writeWhole(path, pages);
}

/** Where a batch's tree is now: at its name, or aside when another has taken that. */
export async function placeOf(layout: ArchiveLayout, batch: BatchNames): Promise<BatchPlace> {
  const { batchId, namespace, name } = batch;
  const owner = await ownerOf(layout, namespace, name);
  return { batchId, namespace, name, replaced: owner !== undefined && owner !== batchId };
}

/** Where a retired batch has its `jobs.jsonl`: in its tree, or aside when somebody had removed that by hand. */
export async function retiredPlaceOf(layout: ArchiveLayout, batch: BatchNames): Promise<BatchPlace> {
  const { batchId, namespace, name } = batch;
  return { batchId, namespace, name, replaced: (await ownerOf(layout, namespace, name)) !== batchId };
}

/** Moves a batch's tree aside, because another takes its name. Repeatable. */
export async function moveReplaced(layout: ArchiveLayout, batch: BatchNames): Promise<void> {
  if ((await ownerOf(layout, batch.namespace, batch.name)) !== batch.batchId) return;
  const from = layout.batchFolder({ ...batch, replaced: false });
  const to = layout.batchFolder({ ...batch, replaced: true });
  await makeFolder(dirname(to));
  await rename(from, to);
  await syncFolder(dirname(to));
  await syncFolder(dirname(from));
}

/**
 * Whether there is more than what a head leaves that was killed while it made the folder: nothing, or a `batch.json` half
 * written; or the log of a build that still ran when somebody removed it.
 */
async function holdsAnything(folder: string): Promise<boolean> {
  const names = await namesIn(folder);
  if (names.some((name) => name !== ownFolder)) return true;
  return (await namesIn(join(folder, ownFolder))).some((name) => !name.endsWith(partEnding) && !buildLog.test(name));
}

/** What is in a folder; nothing where there is none, and its own name for something that is none. */
async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    if (isSystemError(error, 'ENOTDIR')) return [folder];
    throw error;
  }
}

async function writeWhole(path: string, body: AsyncIterable<string | Uint8Array>): Promise<void> {
  await makeFolder(dirname(path));
  const temporary = `${path}${partEnding}`;
  await pipeline(Readable.from(body), createWriteStream(temporary, { flush: true, mode: 0o644 }));
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

async function* beginWithId(id: BatchId, body: AsyncIterable<string | Uint8Array>) {
  yield `{"id":${JSON.stringify(id)},`;
  yield* body;
}
