import { background } from '../../base/background.ts';
import { diskLimits, makeBackoff } from '../../base/backoff.ts';
import { type Clock, delay, type Timer } from '../../base/clock.ts';
import { isSystemError, messageOf, RefusedError, refused } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Disks } from '../disk-watch.ts';
import type { HeadEngine } from '../ports.ts';
import type { LogRecord } from '../scheduler/event.ts';
import { type ArchiveRecord, batchOf, concernsArchive } from './archive-record.ts';
import { HeldRecords } from './held-records.ts';
import type { PublishedMark } from './published-mark.ts';

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
  /** Why a batch's tree does not take its results, while that of others may; nothing: it does again. */
  readonly stuck: (batchId: BatchId, why: string | undefined) => Promise<void>;
}

/** Records published together. */
const groupMax = 256;
/** How long a record that nobody waits for is held back for others to join it, in milliseconds. */
const gatherMs = 20;
/** How often a batch is tried in vain before those who want to read it are told; what passes by itself is not worth a word. */
const triesMax = 3;
/** Waiting records at which those who cause more are made to wait. */
const backlogMax = 4_096;

/**
 * Brings the archive's tree up to the log, which is the truth: every accepted archive appears in it, after a crash too.
 * At start it goes on from a mark that lies before anything a power cut may have undone. A batch whose tree takes nothing
 * is tried again every now and then, and holds up no other.
 */
export class Publisher {
  readonly #ports: PublisherPorts;
  readonly #stop = new AbortController();
  #queue: ArchiveRecord[] = [];
  #doing: readonly ArchiveRecord[] = [];
  readonly #held = new HeldRecords();
  /** What is held is to be tried again now. */
  #isDue = false;
  #timer: Timer | undefined;
  readonly #backoff: ReturnType<typeof makeBackoff>;
  readonly #unfinished = new Map<BatchId, number>();
  #waiters: (() => void)[] = [];
  #working: Promise<void> | undefined;
  /** Ends the gathering of a group. */
  #gathered: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #lastSeq = 0;
  /** The highest number of a record that is part of the tree. */
  #doneSeq = 0;

  constructor(ports: PublisherPorts) {
    this.#ports = ports;
    this.#backoff = makeBackoff(diskLimits, ports.random);
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
    return Math.min(this.#doing[0]?.seq ?? this.#queue[0]?.seq ?? Number.POSITIVE_INFINITY, this.#held.firstSeq);
  }

  /** Resolves when everything that has happened to this batch so far can be seen in the tree. */
  async settled(batchId: BatchId): Promise<void> {
    while ((this.#unfinished.get(batchId) ?? 0) > 0) await this.#next();
  }

  /** The same for whoever waits to read it: rejects, as busy, when the tree takes nothing of this batch again and again. */
  async readable(batchId: BatchId): Promise<void> {
    while ((this.#unfinished.get(batchId) ?? 0) > 0) {
      const { failed, why } = this.#held.tries(batchId);
      if (failed >= triesMax) {
        const message = `Cannot read its results now: they cannot be put in their place (${why}); labrun status says what to do`;
        throw new RefusedError(refused('busy', message));
      }
      await this.#next();
    }
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    while (this.#queue.length + this.#doing.length + this.#held.count > 0) await this.#next();
  }

  /** Resolves when there is room for more; callers that add to the backlog wait for it. */
  async room(): Promise<void> {
    while (this.#queue.length + this.#held.count > backlogMax) await this.#next();
  }

  /** Stops after what it is doing. What is left is done at the next start. */
  async close(): Promise<void> {
    this.#unsubscribe?.();
    this.#stop.abort(new Error('the head is stopping'));
    this.#timer?.cancel();
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
    if (this.#queue.length > 0) this.#begin();
  }

  #begin(): void {
    if (this.#working || this.#stop.signal.aborted) return;
    this.#working = this.#work();
    background(this.#working);
  }

  async #work(): Promise<void> {
    while (!this.#stop.signal.aborted && (this.#isDue || this.#queue.length > 0)) {
      if (this.#isDue) await this.#tryHeld();
      else {
        await this.#gather();
        await this.#doNext();
      }
      if (this.#stop.signal.aborted) break;
      this.#doing = [];
      if (this.#doneSeq > 0) this.#ports.mark.reached(Math.min(this.#doneSeq, this.pendingSeq - 1));
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

  async #doNext(): Promise<void> {
    const next = this.#queue.splice(0, groupMax);
    this.#doing = next.filter((record) => !this.#held.has(batchOf(record)));
    // What follows on something that is held waits behind it.
    this.#held.add(next.filter((record) => this.#held.has(batchOf(record))));
    const groups = byBatch(this.#doing);
    let trouble = await this.#tryUntilDiskTakes(this.#doing);
    if (trouble === undefined) return this.#finish(this.#doing);
    for (const group of groups) {
      if (this.#stop.signal.aborted) return;
      if (groups.length > 1) trouble = await this.#tryUntilDiskTakes(group);
      if (trouble === undefined) this.#finish(group);
      else await this.#hold(group, trouble);
    }
  }

  /** Tries until it is not for the disk as a whole that it fails. Answers what else is wrong, or nothing. */
  async #tryUntilDiskTakes(records: readonly ArchiveRecord[]): Promise<unknown> {
    const { publish, disks, clock, random, log } = this.#ports;
    const backoff = makeBackoff(diskLimits, random);
    for (let told = ''; ; ) {
      try {
        if (records.length > 0) await publish(records);
        return undefined;
      } catch (error) {
        if (this.#stop.signal.aborted || !isOfDisk(error)) return error;
        const why = messageOf(error);
        if (why !== told) log.error({ error: why }, 'cannot write into the archive; trying again');
        told = why;
        disks.failed('archive', why);
        const went = await delay(clock, backoff.nextMs(), this.#stop.signal).then(
          () => true,
          () => false, // only close() ends it early
        );
        if (!went) return error;
      }
    }
  }

  async #tryHeld(): Promise<void> {
    this.#isDue = false;
    for (const batchId of this.#held.batches()) {
      while (this.#held.has(batchId)) {
        const records = this.#held.first(batchId, groupMax);
        const trouble = await this.#tryUntilDiskTakes(records);
        if (this.#stop.signal.aborted) return;
        if (trouble !== undefined) {
          await this.#tellStuck(batchId, trouble);
          break;
        }
        this.#held.drop(batchId, records.length);
        this.#finish(records);
        if (!this.#held.has(batchId)) await this.#ports.stuck(batchId, undefined);
      }
    }
    if (this.#held.count > 0) this.#setTimer();
    else this.#backoff.reset();
  }

  async #hold(records: readonly ArchiveRecord[], trouble: unknown): Promise<void> {
    const [first] = records;
    if (first === undefined || this.#stop.signal.aborted) return;
    this.#held.add(records);
    this.#setTimer();
    await this.#tellStuck(batchOf(first), trouble);
  }

  async #tellStuck(batchId: BatchId, trouble: unknown): Promise<void> {
    const why = messageOf(trouble);
    this.#held.failed(batchId, why);
    await this.#ports.stuck(batchId, why);
  }

  #setTimer(): void {
    this.#timer ??= this.#ports.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#timer = undefined;
      this.#isDue = true;
      this.#gathered?.();
      this.#begin();
    });
  }

  #finish(records: readonly ArchiveRecord[]): void {
    for (const record of records) {
      const batchId = batchOf(record);
      this.#doneSeq = Math.max(this.#doneSeq, record.seq);
      const left = (this.#unfinished.get(batchId) ?? 1) - 1;
      if (left > 0) this.#unfinished.set(batchId, left);
      else this.#unfinished.delete(batchId);
    }
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

/** Whether it is the disk, or the process, that has room for nobody. */
function isOfDisk(error: unknown): boolean {
  return isSystemError(error, 'ENOSPC', 'EROFS', 'EIO', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM');
}

function byBatch(records: readonly ArchiveRecord[]): readonly (readonly ArchiveRecord[])[] {
  const groups = new Map<BatchId, ArchiveRecord[]>();
  for (const record of records) {
    const group = groups.get(batchOf(record));
    if (group) group.push(record);
    else groups.set(batchOf(record), [record]);
  }
  return [...groups.values()];
}
