import { Fault } from '../../base/errors.ts';
import { Turns } from '../../base/turns.ts';
import * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import type { LogRecord } from '../scheduler/event.ts';
import { chainHash, chainStart, crc32c } from './checksum.ts';
import type { Database } from './database.ts';
import { decodeEvent } from './event-decode.ts';
import { encodeEvent } from './event-encode.ts';
import { numberIn, recordKey } from './keys.ts';
import { decodeActor } from './value-codec.ts';

/** The version of the log's format that this labrun writes, and the newest it reads. */
export const logFormat = 1;

/** Where a reader of the log stands: the last record seen and the link to the next. */
export interface LogPosition {
  readonly seq: number;
  readonly chain: Buffer;
}

/** What is wrong with a stored log, and where. */
export interface LogDamage {
  /** The first record that cannot be believed. */
  readonly seq: number;
  /** Why: "missing", "checksum", "chain", "unreadable". */
  readonly problem: string;
  /** The last record on disk; everything from `seq` to it is lost if the head goes on. */
  readonly lastSeq: number;
}

/** How much is read in one trip to the database. */
interface PageSize {
  readonly records: number;
  /** Bytes after which a page is closed. */
  readonly bytes: number;
}

/** Of a replay, which is alone; LevelDB's own 16 KiB makes six times as many trips. */
const replayPages: PageSize = { records: 1000, bytes: 1024 * 1024 };
/** Of those who read while the head serves: each may hold a page for as long as its reader is slow. */
const readerPages: PageSize = { records: 100, bytes: 128 * 1024 };
/** Readers whose pages are fetched at once. More would be no faster, and each page is many objects. */
const fetchesMax = 2;

/** The position before the first record. */
export const logStart: LogPosition = { seq: 0, chain: chainStart };

/** The append-only log. LevelDB drops damaged records in silence, so every record is checked here. */
export class EventLog {
  readonly #database: Database;
  readonly #fetches = new Turns(fetchesMax);
  #position: LogPosition;
  #bytesWritten = 0;

  constructor(database: Database, position: LogPosition) {
    this.#database = database;
    this.#position = position;
  }

  get position(): LogPosition {
    return this.#position;
  }

  /** Since it was opened. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Writes records in one synced batch. Resolves when they are on disk; rejects as a fault that ends the head. */
  async append(records: readonly LogRecord[]): Promise<void> {
    let { chain } = this.#position;
    const batch = records.map((record) => {
      const body = encodeRecord(record);
      const value = disk.StoredRecord.encode({ body, previousHash: chain, crc: crc32c(chain, body) }).finish();
      chain = chainHash(chain, body);
      return { type: 'put' as const, key: recordKey(record.seq), value: Buffer.from(value) };
    });
    await this.#database.batch(batch, { sync: true });
    for (const { value } of batch) this.#bytesWritten += value.length;
    this.#position = { seq: records.at(-1)?.seq ?? this.#position.seq, chain };
  }

  /** Records from `seq` on, as pages, up to the last one written when reading began. Damage is thrown as a fault. */
  async *read(seq: number): AsyncGenerator<readonly LogRecord[]> {
    const pages = readPages(this.#database, seq, readerPages);
    try {
      for (;;) {
        const records = await this.#fetches.take(async () => {
          const page = await pages.next();
          return page.done ? undefined : page.value.map(({ value }) => decodeRecord(openRecord(value).body));
        });
        if (!records) return;
        yield records;
      }
    } finally {
      await pages.return(undefined);
    }
  }

  /** The oldest record kept; 0 when there is none. */
  async oldest(): Promise<number> {
    for await (const key of this.#database.keys({
      gte: recordKey(0),
      lt: recordKey(Number.MAX_SAFE_INTEGER),
      limit: 1,
    }))
      return numberIn(key);
    return 0;
  }

  /**
   * The first record that is not older than `atMs`, as far as `most` of the oldest tell. What cannot be read is old: it is
   * history, and no younger for being damaged.
   */
  async firstSince(atMs: number, most: number): Promise<number> {
    let seen = 0;
    let next = await this.oldest();
    for await (const page of readPages(this.#database, next)) {
      for (const { seq, value } of page) {
        next = seq;
        if (seen >= most || writtenAtMs(value) >= atMs) return next;
        seen += 1;
        next = seq + 1;
      }
    }
    return next;
  }

  /** Drops records before `seq`; a snapshot has made them unnecessary. */
  async trim(seq: number): Promise<void> {
    await this.#database.clear({ gte: recordKey(0), lt: recordKey(seq) });
  }
}

/**
 * Replays the records after `from`, checking each: gapless numbers, checksum, link to the one before. Answers where it
 * stands and, if it stopped early, why.
 */
export async function replay(
  database: Database,
  from: LogPosition,
  take: (record: LogRecord) => void,
): Promise<{ position: LogPosition; damage: LogDamage | undefined }> {
  let position = from;
  for await (const page of readPages(database, from.seq + 1)) {
    for (const { seq, value } of page) {
      const problem = problemWith(seq, value, position);
      if (problem !== undefined) {
        return { position, damage: { seq: position.seq + 1, problem, lastSeq: await lastSeq(database) } };
      }
      const { body } = openRecord(value);
      take(decodeRecord(body));
      position = { seq, chain: chainHash(position.chain, body) };
    }
  }
  return { position, damage: undefined };
}

/**
 * Checks records `first` to `last` against each other; the link into the first is taken as it stands. Gives up between
 * two pages, finding nothing, once `stopped` says so.
 */
export async function checkRange(
  database: Database,
  first: number,
  last: number,
  stopped: () => boolean,
): Promise<LogDamage | undefined> {
  let position: LogPosition | undefined;
  for await (const page of readPages(database, first)) {
    if (stopped()) return undefined;
    for (const { seq, value } of page) {
      if (seq > last) return undefined;
      position ??= { seq: first - 1, chain: previousOf(value) };
      const problem = problemWith(seq, value, position);
      if (problem !== undefined) return { seq: position.seq + 1, problem, lastSeq: last };
      position = { seq, chain: chainHash(position.chain, openRecord(value).body) };
    }
  }
  return (position?.seq ?? last) < last
    ? { seq: (position?.seq ?? 0) + 1, problem: 'records are missing', lastSeq: last }
    : undefined;
}

/** Drops everything after a position: what `--accept-loss` accepts. */
export async function cutAfter(database: Database, position: LogPosition): Promise<void> {
  await database.clear({ gt: recordKey(position.seq), lt: recordKey(Number.MAX_SAFE_INTEGER) });
}

function problemWith(seq: number, value: Buffer, position: LogPosition): string | undefined {
  if (seq !== position.seq + 1) return `record ${position.seq + 1} is missing`;
  let stored: disk.StoredRecord;
  try {
    stored = disk.StoredRecord.decode(value);
  } catch {
    return `record ${seq} is unreadable`;
  }
  if (crc32c(stored.previousHash, stored.body) !== stored.crc) return `record ${seq} fails its checksum`;
  if (!stored.previousHash.equals(position.chain)) return `record ${seq} does not follow the one before it`;
  return undefined;
}

function writtenAtMs(value: Buffer): number {
  try {
    return Number(disk.LogRecord.decode(openRecord(value).body).atMs);
  } catch {
    return 0; // damaged: whoever checks history names it
  }
}

function previousOf(value: Buffer): Buffer {
  try {
    return openRecord(value).previousHash;
  } catch {
    return chainStart; // unreadable: the check that follows names it
  }
}

function openRecord(value: Buffer): disk.StoredRecord {
  return disk.StoredRecord.decode(value);
}

function encodeRecord(record: LogRecord): Buffer {
  const message = {
    format: logFormat,
    seq: BigInt(record.seq),
    atMs: BigInt(record.atMs),
    actor: record.actor,
    event: encodeEvent(record.event),
  };
  return Buffer.from(disk.LogRecord.encode(message).finish());
}

function decodeRecord(body: Buffer): LogRecord {
  const stored = disk.LogRecord.decode(body);
  if (stored.format > logFormat) {
    throw new Fault(
      'newer-format',
      `Cannot read the log: record ${stored.seq} was written by a newer labrun (format ${stored.format}); upgrade this head`,
    );
  }
  if (stored.event?.event === undefined) {
    throw new Fault(
      'newer-format',
      `Cannot read the log: record ${stored.seq} is of a kind that only a newer labrun knows; upgrade this head`,
    );
  }
  return {
    seq: Number(stored.seq),
    atMs: Number(stored.atMs),
    actor: decodeActor(stored.actor),
    event: decodeEvent(stored.event),
  };
}

async function* readPages(
  database: Database,
  seq: number,
  size = replayPages,
): AsyncGenerator<{ seq: number; value: Buffer }[]> {
  const iterator = database.iterator({
    gte: recordKey(seq),
    lt: recordKey(Number.MAX_SAFE_INTEGER),
    highWaterMarkBytes: size.bytes,
  });
  try {
    for (;;) {
      const entries = await iterator.nextv(size.records);
      if (entries.length === 0) return;
      yield entries.map(([key, value]) => ({ seq: numberIn(key), value }));
    }
  } finally {
    await iterator.close();
  }
}

async function lastSeq(database: Database): Promise<number> {
  for await (const key of database.keys({
    gte: recordKey(0),
    lt: recordKey(Number.MAX_SAFE_INTEGER),
    reverse: true,
    limit: 1,
  }))
    return numberIn(key);
  return 0;
}
