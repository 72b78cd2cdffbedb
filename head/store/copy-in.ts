import { open } from 'node:fs/promises';
import { Fault } from '../../base/errors.ts';
import { type ContentHash, startHash } from '../../base/transfer/hash.ts';
import { CopiedEntry } from '../../proto/gen/labrun/store/v1/backup.ts';
import { openDatabase } from './database.ts';

/** Entries written to the new database in one batch, in bytes. */
const batchBytes = 4 * 1024 * 1024;
/** Longest entry that is believed: a snapshot of ten million jobs has a third of it. */
const entryMaxBytes = 1024 * 1024 * 1024;

type Put = { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer };

/** Reads a copy to its end and compares its hash. Throws `Fault` "damaged" that names the file. */
export async function checkCopy(path: string, expected: ContentHash | undefined): Promise<void> {
  for await (const _ of entriesOf(path, expected));
}

/**
 * Makes a database of a copy, in a folder that has none, and compares the copy's hash on the way. Whether what it holds
 * hangs together is found by opening it. Throws `Fault` "damaged" that names the file.
 */
export async function copyIn(path: string, folder: string, expected: ContentHash | undefined): Promise<void> {
  const database = await openDatabase(folder);
  try {
    let batch: Put[] = [];
    let bytes = 0;
    for await (const { key, value } of entriesOf(path, expected)) {
      batch.push({ type: 'put', key, value });
      bytes += value.length;
      if (bytes < batchBytes) continue;
      await database.batch(batch, { sync: true });
      batch = [];
      bytes = 0;
    }
    await database.batch(batch, { sync: true });
  } finally {
    await database.close();
  }
}

async function* entriesOf(path: string, expected: ContentHash | undefined): AsyncGenerator<CopiedEntry> {
  const hash = startHash();
  const file = await open(path, 'r');
  const read = async (length: number): Promise<Buffer> => {
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await file.read(buffer, 0, length, null);
    hash.update(buffer.subarray(0, bytesRead));
    return buffer.subarray(0, bytesRead);
  };
  try {
    for (;;) {
      const prefix = await read(4);
      if (prefix.length === 0) break;
      const length = prefix.length === 4 ? prefix.readUInt32LE() : Number.POSITIVE_INFINITY;
      if (length > entryMaxBytes) throw damaged(path, 'it ends in the middle of an entry, or is no copy of a database');
      const body = await read(length);
      if (body.length < length) throw damaged(path, 'it ends in the middle of an entry');
      yield decode(path, body);
    }
  } finally {
    await file.close();
  }
  if (expected !== undefined && hash.digest() !== expected) throw damaged(path, 'it is not what was written');
}

function decode(path: string, body: Buffer): CopiedEntry {
  try {
    return CopiedEntry.decode(body);
  } catch (error) {
    throw damaged(path, 'an entry of it cannot be read', error);
  }
}

function damaged(path: string, why: string, cause?: unknown): Fault {
  return new Fault('damaged', `Cannot use ${path}: ${why}`, { cause });
}
