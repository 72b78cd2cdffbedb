import { open } from 'node:fs/promises';
import { type ContentHash, startHash } from '../../base/transfer/hash.ts';
import { CopiedEntry } from '../../proto/gen/labrun/store/v1/backup.ts';
import type { Database } from './database.ts';
import { numberIn, recordKey, snapshotKey } from './keys.ts';

/** A copy of a database: one file that nothing changes any more. */
export interface CopyFacts {
  /** The last record in it; 0: none. */
  readonly seq: number;
  readonly sizeBytes: number;
  readonly hash: ContentHash;
}

/** Bytes gathered before they are written. */
const chunkBytes = 1024 * 1024;

/**
 * Copies a database into a new file, as it is at this moment: what is written meanwhile is not in it. The file is on disk
 * when this resolves. `onBytes` hears how much has been written. Rejects with the operating system's error, or the signal's reason.
 */
export async function copyOut(
  database: Database,
  path: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<CopyFacts> {
  const hash = startHash();
  let sizeBytes = 0;
  let seq = 0;
  const file = await open(path, 'wx', 0o600);
  try {
    let gathered: Buffer[] = [];
    let gatheredBytes = 0;
    const flush = async () => {
      signal.throwIfAborted();
      const chunk = Buffer.concat(gathered);
      gathered = [];
      gatheredBytes = 0;
      hash.update(chunk);
      await file.appendFile(chunk);
      sizeBytes += chunk.length;
      onBytes(sizeBytes);
    };
    for await (const [key, value] of entriesNow(database)) {
      const entry = CopiedEntry.encode({ key, value }).finish();
      const length = Buffer.alloc(4);
      length.writeUInt32LE(entry.length);
      gathered.push(length, Buffer.from(entry));
      gatheredBytes += entry.length;
      if (key[0] === recordKey(0)[0]) seq = numberIn(key);
      if (gatheredBytes >= chunkBytes) await flush();
    }
    await flush();
    await file.sync();
  } finally {
    await file.close();
  }
  return { seq, sizeBytes, hash: hash.digest() };
}

/** Everything as of one moment, whatever is written or dropped meanwhile: snapshots, newest first, then records. */
async function* entriesNow(database: Database): AsyncGenerator<[Buffer, Buffer]> {
  const moment = database.snapshot();
  const ranges = [
    { gte: snapshotKey(0), lt: snapshotKey(Number.MAX_SAFE_INTEGER), reverse: true },
    { gte: recordKey(0), lt: recordKey(Number.MAX_SAFE_INTEGER) },
  ];
  try {
    for (const range of ranges)
      for await (const entry of database.iterator({ ...range, snapshot: moment, highWaterMarkBytes: chunkBytes }))
        yield entry;
  } finally {
    await moment.close();
  }
}
