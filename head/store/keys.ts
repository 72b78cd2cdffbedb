/** Keys of the head's database. Big-endian numbers, so that their order is the log's. */

/** The key of a record. */
export function recordKey(seq: number): Buffer {
  return numbered('r', seq);
}

/** The key of a snapshot that includes everything up to `seq`. */
export function snapshotKey(seq: number): Buffer {
  return numbered('s', seq);
}

/** The key under which the cluster's id is kept. */
export const clusterKey = Buffer.from('c');

/** The number in a record's or a snapshot's key. */
export function numberIn(key: Buffer): number {
  return Number(key.readBigUInt64BE(1));
}

function numbered(letter: string, seq: number): Buffer {
  const key = Buffer.alloc(9);
  key.write(letter);
  key.writeBigUInt64BE(BigInt(seq), 1);
  return key;
}
