import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import { Fault } from '../../base/errors.ts';
import type { LogPort } from '../engine.ts';
import { apply } from '../scheduler/apply.ts';
import { type ClusterDraft, emptyCluster } from '../scheduler/draft.ts';
import type { LogRecord } from '../scheduler/event.ts';
import type { ClusterState } from '../scheduler/state.ts';
import { type CopyFacts, copyOut } from './copy-out.ts';
import { type Database, openDatabase } from './database.ts';
import { checkRange, cutAfter, EventLog, type LogDamage, logStart, replay } from './event-log.ts';
import { HighWater } from './high-water.ts';
import { loadSnapshot, snapshotSeqs, writeSnapshot } from './snapshot.ts';

/** When snapshots are written, and how long records are kept for readers of events. */
export interface StoreLimits {
  /** Any of these since the last one is enough for a snapshot. */
  readonly snapshotRecords: number;
  readonly snapshotBytes: number;
  readonly snapshotMs: number;
  /** Older records, and those beyond so many, are dropped; never those after the snapshot before the last. */
  readonly recordsKept: number;
  readonly keptMs: number;
}

const usualLimits: StoreLimits = {
  snapshotRecords: 20_000,
  snapshotBytes: 64 * 2 ** 20,
  snapshotMs: 3_600_000,
  recordsKept: 2_000_000,
  keptMs: 30 * 24 * 3_600_000,
};
/** Most records whose age is looked at after one snapshot; the next goes on. */
const agedMax = 100_000;

/** The disk behind the engine, opened and replayed. */
export interface Store extends LogPort {
  /** The state as the log left it. */
  readonly draft: ClusterDraft;
  /** What was lost, when that was accepted. */
  readonly accepted: LogDamage | undefined;
  readonly log: EventLog;
  /** Numbers of snapshots that are damaged; the state came from one before them and the log. */
  readonly damagedSnapshots: readonly number[];
  /**
   * Checks the records before the snapshot that the state came from. They are history: damage there loses events that
   * people could have read, and nothing else. Slow for a long log; run it beside serving.
   */
  checkHistory(): Promise<LogDamage | undefined>;
  /** Writes a snapshot when enough has happened since the last; call between turns. */
  snapshotIfDue(state: ClusterState): Promise<void>;
  /** Has records from the one that this answers kept, whatever their age: somebody has yet to read them. */
  keepFrom(needed: () => number): void;
  /** Copies the database as it is now into a new file, beside serving. */
  copyTo(path: string, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<CopyFacts>;
  /** Closes without a snapshot, as if the process had been killed between turns. */
  abandon(): Promise<void>;
  /** Writes a last snapshot of `state` and closes. */
  close(state: ClusterState): Promise<void>;
}

/**
 * Opens the head's database: the newest whole snapshot, then the log after it, each record checked. A gap or damage is
 * a fault that says what is lost; with `acceptLoss` the head goes on without it. Until something is appended, whoever opens
 * it next is told of the same loss: it must not be forgotten before the log itself tells of it.
 */
export async function openStore(
  folder: string,
  options: { readonly acceptLoss: boolean; readonly limits?: Partial<StoreLimits> },
): Promise<Store> {
  const database = await openDatabase(join(folder, 'log'));
  const markPath = join(folder, 'high-water');
  let mark: HighWater | undefined;
  try {
    const { loaded, damaged } = await loadSnapshot(database);
    const draft = loaded?.draft ?? emptyCluster();
    const loadedAtMs = draft.atMs;
    const { position, damage: gap } = await replay(database, loaded?.position ?? logStart, (record) =>
      apply(draft, record),
    );
    const damage = gap ?? lostTail(position.seq, HighWater.read(markPath));
    if (damage !== undefined) {
      if (!options.acceptLoss) throw damageFault(damage);
      mark = new HighWater(markPath);
      mark.note(Math.max(damage.lastSeq, HighWater.read(markPath)));
      await cutAfter(database, position);
    } else {
      mark = new HighWater(markPath);
      mark.note(position.seq);
    }
    return new OpenStore(
      database,
      draft,
      new EventLog(database, position),
      mark,
      { seq: loaded?.position.seq ?? 0, atMs: loadedAtMs },
      { accepted: damage, damagedSnapshots: damaged },
      { ...usualLimits, ...options.limits },
    );
  } catch (error) {
    mark?.close();
    await database.close();
    throw error;
  }
}

class OpenStore implements Store {
  readonly draft: ClusterDraft;
  readonly log: EventLog;
  readonly accepted: LogDamage | undefined;
  readonly damagedSnapshots: readonly number[];
  readonly #database: Database;
  readonly #mark: HighWater;
  readonly #loadedSeq: number;
  /** What still uses the database. */
  readonly #work = new Set<Promise<unknown>>();
  #closing = false;
  readonly #limits: StoreLimits;
  /** Where the last snapshot stands. */
  #snapshotSeq: number;
  #snapshotAtMs: number;
  #snapshotBytes = 0;
  #needed: () => number = () => Number.POSITIVE_INFINITY;

  constructor(
    database: Database,
    draft: ClusterDraft,
    log: EventLog,
    mark: HighWater,
    snapshot: { readonly seq: number; readonly atMs: number },
    found: Pick<Store, 'accepted' | 'damagedSnapshots'>,
    limits: StoreLimits,
  ) {
    this.#database = database;
    this.draft = draft;
    this.log = log;
    this.#mark = mark;
    this.#snapshotSeq = snapshot.seq;
    this.#snapshotAtMs = snapshot.atMs;
    this.#loadedSeq = snapshot.seq;
    this.#limits = limits;
    this.accepted = found.accepted;
    this.damagedSnapshots = found.damagedSnapshots;
  }

  async append(records: readonly LogRecord[]): Promise<void> {
    await this.log.append(records);
    this.#mark.note(this.log.position.seq);
  }

  checkHistory(): Promise<LogDamage | undefined> {
    return this.#track(this.#checkHistory());
  }

  async #checkHistory(): Promise<LogDamage | undefined> {
    const oldest = await this.log.oldest();
    if (oldest === 0 || oldest > this.#loadedSeq) return undefined;
    return checkRange(this.#database, oldest, this.#loadedSeq, () => this.#closing);
  }

  async snapshotIfDue(state: ClusterState): Promise<void> {
    const { snapshotRecords, snapshotBytes, snapshotMs } = this.#limits;
    const isDue =
      state.seq - this.#snapshotSeq >= snapshotRecords ||
      this.log.bytesWritten - this.#snapshotBytes >= snapshotBytes ||
      state.atMs - this.#snapshotAtMs >= snapshotMs;
    if (isDue && state.seq > this.#snapshotSeq) await this.#track(this.#snapshot(state));
  }

  keepFrom(needed: () => number): void {
    this.#needed = needed;
  }

  copyTo(path: string, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<CopyFacts> {
    return this.#track(copyOut(this.#database, path, onBytes, signal));
  }

  async close(state: ClusterState): Promise<void> {
    if (state.seq > this.#snapshotSeq) await this.#snapshot(state);
    await this.abandon();
  }

  async abandon(): Promise<void> {
    this.#closing = true;
    // Whoever asked for the work hears how it went; here it only has to be over before the database is.
    await Promise.allSettled(this.#work);
    this.#mark.close();
    await this.#database.close();
  }

  #track<T>(task: Promise<T>): Promise<T> {
    this.#work.add(task);
    const over = () => this.#work.delete(task);
    task.then(over, over);
    return task;
  }

  async #snapshot(state: ClusterState): Promise<void> {
    assert(state.seq === this.log.position.seq, 'a snapshot is taken when memory and disk agree');
    const { seq, atMs } = state;
    this.#snapshotSeq = seq;
    this.#snapshotAtMs = atMs;
    this.#snapshotBytes = this.log.bytesWritten;
    await writeSnapshot(this.#database, state, this.log.position);
    await this.#dropOld(seq, atMs);
  }

  /** With the snapshot before the last and the records after it, a damaged last snapshot loses nothing. */
  async #dropOld(seq: number, atMs: number): Promise<void> {
    const oldestSnapshot = Math.min(...(await snapshotSeqs(this.#database)));
    const young = await this.log.firstSince(atMs - this.#limits.keptMs, agedMax);
    const wanted = Math.max(seq - this.#limits.recordsKept, young);
    const keepFrom = Math.min(oldestSnapshot + 1, wanted, this.#needed());
    if (keepFrom > 1) await this.log.trim(keepFrom);
  }
}

function lostTail(lastSeq: number, noted: number): LogDamage | undefined {
  if (noted <= lastSeq) return undefined;
  return { seq: lastSeq + 1, problem: `records up to ${noted} were written and are gone`, lastSeq: noted };
}

function damageFault(damage: LogDamage): Fault {
  const lost = damage.lastSeq - damage.seq + 1;
  return new Fault(
    'log-damaged',
    `Cannot start: the log is damaged: ${damage.problem}; the last ${lost} record${lost === 1 ? '' : 's'} (${damage.seq} to ${damage.lastSeq}) ` +
      'cannot be believed. Restore a backup, or go on without them: labrun head start … --accept-loss',
  );
}
