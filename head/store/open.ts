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

/** Records between snapshots. */
const snapshotEvery = 20_000;
/** Records kept for readers of events, however old the snapshot is. */
const recordsKept = 2_000_000;

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
  /** Copies the database as it is now into a new file, beside serving. */
  copyTo(path: string, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<CopyFacts>;
  /** Closes without a snapshot, as if the process had been killed between turns. */
  abandon(): Promise<void>;
  /** Writes a last snapshot of `state` and closes. */
  close(state: ClusterState): Promise<void>;
}

/**
 * Opens the head's database: the newest whole snapshot, then the log after it, each record checked. A gap or damage is
 * a fault that says what is lost; with `acceptLoss` the head goes on without it.
 */
export async function openStore(folder: string, options: { readonly acceptLoss: boolean }): Promise<Store> {
  const database = await openDatabase(join(folder, 'log'));
  const markPath = join(folder, 'high-water');
  try {
    const { loaded, damaged } = await loadSnapshot(database);
    const draft = loaded?.draft ?? emptyCluster();
    const { position, damage: gap } = await replay(database, loaded?.position ?? logStart, (record) =>
      apply(draft, record),
    );
    const damage = gap ?? lostTail(position.seq, HighWater.read(markPath));
    if (damage !== undefined) {
      if (!options.acceptLoss) throw damageFault(damage);
      await cutAfter(database, position);
    }
    return new OpenStore(
      database,
      draft,
      new EventLog(database, position),
      new HighWater(markPath),
      loaded?.position.seq ?? 0,
      { accepted: damage, damagedSnapshots: damaged },
    );
  } catch (error) {
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
  #snapshotSeq: number;

  constructor(
    database: Database,
    draft: ClusterDraft,
    log: EventLog,
    mark: HighWater,
    snapshotSeq: number,
    found: Pick<Store, 'accepted' | 'damagedSnapshots'>,
  ) {
    this.#database = database;
    this.draft = draft;
    this.log = log;
    this.#mark = mark;
    this.#snapshotSeq = snapshotSeq;
    this.#loadedSeq = snapshotSeq;
    this.accepted = found.accepted;
    this.damagedSnapshots = found.damagedSnapshots;
    mark.note(log.position.seq);
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
    if (state.seq - this.#snapshotSeq >= snapshotEvery) await this.#track(this.#snapshot(state));
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
    this.#snapshotSeq = state.seq;
    await writeSnapshot(this.#database, state, this.log.position);
    const oldestSnapshot = Math.min(...(await snapshotSeqs(this.#database)));
    const keepFrom = Math.min(oldestSnapshot + 1, state.seq - recordsKept);
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
