import { Fault } from '../../base/errors.ts';
import * as disk from '../../proto/gen/labrun/store/v1/snapshot.ts';
import type { ClusterDraft } from '../scheduler/draft.ts';
import type { ClusterState } from '../scheduler/state.ts';
import { crc32c } from './checksum.ts';
import type { Database } from './database.ts';
import { type LogPosition, logFormat } from './event-log.ts';
import { numberIn, snapshotKey } from './keys.ts';
import { decodeState, encodeState } from './state-codec.ts';

/** A snapshot that was found whole: the state and where the log goes on. */
export interface LoadedSnapshot {
  readonly draft: ClusterDraft;
  readonly position: LogPosition;
}

/** Writes the state as of a position, synced. The one before it is kept, older ones are dropped. */
export async function writeSnapshot(database: Database, state: ClusterState, position: LogPosition): Promise<void> {
  const body = Buffer.from(disk.Snapshot.encode(encodeState(state, position.chain)).finish());
  const value = Buffer.from(disk.StoredSnapshot.encode({ body, crc: crc32c(body) }).finish());
  await database.put(snapshotKey(position.seq), value, { sync: true });
  const [, ...older] = (await snapshotSeqs(database)).filter((seq) => seq < position.seq);
  await database.batch(older.map((seq) => ({ type: 'del' as const, key: snapshotKey(seq) })));
}

/** The newest snapshot that is whole, and what was wrong with newer ones. */
export async function loadSnapshot(
  database: Database,
): Promise<{ loaded: LoadedSnapshot | undefined; damaged: readonly number[] }> {
  const damaged: number[] = [];
  for (const seq of await snapshotSeqs(database)) {
    const stored = readStored(await database.get(snapshotKey(seq)));
    if (stored === undefined) {
      damaged.push(seq);
      continue;
    }
    if (stored.format > logFormat) {
      throw new Fault(
        'newer-format',
        `Cannot read the snapshot at ${seq}: a newer labrun wrote it (format ${stored.format}); upgrade this head`,
      );
    }
    return { loaded: { draft: decodeState(stored), position: { seq, chain: stored.chainHash } }, damaged };
  }
  return { loaded: undefined, damaged };
}

/** Numbers of the snapshots on disk, newest first. */
export async function snapshotSeqs(database: Database): Promise<number[]> {
  const seqs: number[] = [];
  for await (const key of database.keys({
    gte: snapshotKey(0),
    lte: snapshotKey(Number.MAX_SAFE_INTEGER),
    reverse: true,
  }))
    seqs.push(numberIn(key));
  return seqs;
}

function readStored(value: Buffer | undefined): disk.Snapshot | undefined {
  if (value === undefined) return undefined;
  try {
    const { body, crc } = disk.StoredSnapshot.decode(value);
    return crc32c(body) === crc ? disk.Snapshot.decode(body) : undefined;
  } catch {
    return undefined; // what does not decode is damaged, and named so by the caller
  }
}
