import { background } from '../../base/background.ts';
import { diskLimits, makeBackoff } from '../../base/backoff.ts';
import { type Clock, delay, type Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Disks } from '../disk-watch.ts';
import type { HeadEngine } from '../ports.ts';
import type { Event, LogRecord } from '../scheduler/event.ts';
import type { PublishedMark } from './published-mark.ts';

/** An event that changes the archive. */
export interface ArchiveRecord extends LogRecord {
  readonly event: Extract<
    Event,
    {
      kind:
        | 'batch-submitted'
        | 'batch-extended'
        | 'batch-ended'
        | 'batch-deleted'
        | 'archive-accepted'
        | 'attempt-lost'
        | 'attempt-returned';
    }
  >;
}

/** What the publisher drives. */
export interface PublisherPorts {
  readonly engine: Pick<HeadEngine, 'subscribe' | 'records'>;
  readonly mark: Pick<PublishedMark, 'read' | 'reached' | 'close'>;
  readonly disks: Pick<Disks, 'failed'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Makes records part of the tree, in order; repeatable. Rejects when the disk says no. */
  readonly publish: (records: readonly ArchiveRecord[]) => Promise<void>;
}

/** Records published together. */
const groupMax = 256;
/** How long a record that nobody waits for is held back for others to join it, in milliseconds. */
const gatherMs = 20;
/** Waiting records at which those who cause more are made to wait. */
const backlogMax = 4_096;

/**
 * Brings the archive's tree up to the log, which is the truth: every accepted archive appears in it, after a crash too.
 * At start it goes on from a mark that lies before anything a power cut may have undone.
 */
export class Publisher {
  readonly #ports: PublisherPorts;
  readonly #stop = new AbortController();
  #queue: ArchiveRecord[] = [];
  #doing: readonly ArchiveRecord[] = [];
  readonly #unfinished = new Map<BatchId, number>();
  #waiters: (() => void)[] = [];
  #working: Promise<void> | undefined;
  /** Ends the gathering of a group. */
  #gathered: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #lastSeq = 0;

  constructor(ports: PublisherPorts) {
    this.#ports = ports;
  }

  /** Takes up what was left undone; resolves when it is known, not when it is done. */
  async start(): Promise<void> {
    const early: LogRecord[] = [];
    let replaying = true;
    this.#unsubscribe = this.#ports.engine.subscribe((records) => {
      if (replaying) early.push(...records);
      else this.#take(records);
    });
    for await (const page of this.#ports.engine.records((await this.#ports.mark.read()) + 1)) this.#take(page);
    replaying = false;
    this.#take(early);
  }

  /** The oldest record that is not yet part of the tree; infinite: there is none. */
  get pendingSeq(): number {
    return this.#doing[0]?.seq ?? this.#queue[0]?.seq ?? Number.POSITIVE_INFINITY;
  }

  /** Resolves when everything that has happened to this batch so far can be seen in the tree. */
  async settled(batchId: BatchId): Promise<void> {
    while ((this.#unfinished.get(batchId) ?? 0) > 0) await this.#next();
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    while (this.#queue.length > 0 || this.#doing.length > 0) await this.#next();
  }

  /** Resolves when there is room for more; callers that add to the backlog wait for it. */
  async room(): Promise<void> {
    while (this.#queue.length > backlogMax) await this.#next();
  }

  /** Stops after what it is doing. What is left is done at the next start. */
  async close(): Promise<void> {
    this.#unsubscribe?.();
    this.#stop.abort(new Error('the head is stopping'));
    this.#gathered?.();
    this.#wakeAll();
    await this.#working;
    await this.#ports.mark.close();
  }

  #take(records: readonly LogRecord[]): void {
    for (const record of records) {
      if (record.seq <= this.#lastSeq) continue; // seen in the replay and live
      this.#lastSeq = record.seq;
      if (!concernsArchive(record)) continue;
      this.#queue.push(record);
      const batchId = batchOf(record);
      this.#unfinished.set(batchId, (this.#unfinished.get(batchId) ?? 0) + 1);
    }
    if (this.#queue.length >= groupMax) this.#gathered?.();
    if (this.#queue.length > 0 && !this.#working && !this.#stop.signal.aborted) {
      this.#working = this.#work();
      background(this.#working);
    }
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0 && !this.#stop.signal.aborted) {
      await this.#gather();
      this.#doing = this.#queue.splice(0, groupMax);
      if (!(await this.#publish())) break;
      for (const record of this.#doing) this.#finish(batchOf(record));
      this.#ports.mark.reached(this.#doing.at(-1)?.seq ?? 0);
      this.#doing = [];
      this.#wakeAll();
    }
    this.#working = undefined;
  }

  /** Resolves when a group is worth its costs, or someone waits for what is in it. */
  async #gather(): Promise<void> {
    if (this.#queue.length >= groupMax || this.#waiters.length > 0) return;
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#gathered = resolve;
      timer = this.#ports.clock.setTimer(gatherMs, resolve);
    });
    timer?.cancel();
    this.#gathered = undefined;
  }

  /** Tries until the disk takes it; false when the head stops before. */
  async #publish(): Promise<boolean> {
    const { publish, disks, clock, random, log } = this.#ports;
    const backoff = makeBackoff(diskLimits, random);
    for (let told = ''; ; ) {
      try {
        await publish(this.#doing);
        return true;
      } catch (error) {
        if (this.#stop.signal.aborted) return false;
        const why = messageOf(error);
        if (why !== told) log.error({ error: why }, 'cannot write into the archive; trying again');
        told = why;
        disks.failed('archive', why);
        const went = await delay(clock, backoff.nextMs(), this.#stop.signal).then(
          () => true,
          () => false, // only close() ends it early
        );
        if (!went) return false;
      }
    }
  }

  #finish(batchId: BatchId): void {
    const left = (this.#unfinished.get(batchId) ?? 1) - 1;
    if (left > 0) this.#unfinished.set(batchId, left);
    else this.#unfinished.delete(batchId);
  }

  #next(): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.reject(this.#stop.signal.reason);
    this.#gathered?.();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wakeAll(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

function concernsArchive(record: LogRecord): record is ArchiveRecord {
  switch (record.event.kind) {
    case 'batch-submitted':
    case 'batch-extended':
    case 'batch-ended':
    case 'batch-deleted':
    case 'archive-accepted':
    case 'attempt-lost':
    case 'attempt-returned':
      return true;
    default:
      return false;
  }
}

/** The batch that a record is about. */
export function batchOf({ event }: ArchiveRecord): BatchId {
  return 'attempt' in event ? event.attempt.batchId : event.batchId;
}
