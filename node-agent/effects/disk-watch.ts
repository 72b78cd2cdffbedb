import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import { diskUse } from '../machine/disk-use.ts';
import type { ProcessEnd } from '../ports.ts';

/** What the watch of the disk needs. */
export interface DiskWatchPorts {
  readonly clock: Clock;
  /** What may still be written to the disk of all attempts. */
  freeBytes(): Promise<number>;
  /** What must stay free, as the settings have it now. */
  reserveBytes(): number;
  /** Whether it was found nearly full, without inodes or read-only a moment ago. */
  troubledLately(): boolean;
}

/** One attempt whose use of the disk is watched. */
interface Watched {
  readonly home: string;
  /** 0: only the reserve counts. */
  readonly limitBytes: number;
  readonly tell: () => void;
  /** When it is measured again, on the monotonic clock. */
  dueMs: number;
}

/** Time between two looks at the disk, in milliseconds; a look is one call unless something is to be measured. */
const lookEveryMs = 5_000;
/** A tree is measured again when this many times what it took has passed, so that measuring takes 2 % of a core at most. */
const restFactor = 50;
/** Entries of a tree that are measured, at most: what has more files than this, and above them its limit, is found late. */
const entriesMax = 200_000;
/** Below this a disk counts as full, in bytes. */
const fullBytes = 2 ** 20;
/** What a process gets that writes past its limit into one file. */
const SIGXFSZ = 25;

/**
 * Tells attempts that wrote more than they asked for, and the one that wrote most when the disk of the node is nearly
 * full. Disks have no events for either (quotas of projects would, where an admin sets them up).
 */
export class DiskWatch {
  readonly #ports: DiskWatchPorts;
  readonly #watched = new Set<Watched>();
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(ports: DiskWatchPorts) {
    this.#ports = ports;
  }

  /** Calls `tell` at most once, when the attempt in `home` is to end for what it wrote. */
  watch(home: string, limitBytes: number, tell: () => void): { close(): void } {
    const watched: Watched = { home, limitBytes, tell, dueMs: 0 };
    this.#watched.add(watched);
    this.#next();
    return { close: () => this.#watched.delete(watched) };
  }

  /**
   * How a tree ended, with the disk as the reason where it was. One that ended badly on a disk with less than its reserve, and had itself taken
   * less than it asked for (or, where it asked for nothing, less than the reserve), is a victim: it is lost, so that its job
   * runs again elsewhere or later. Costs nothing for one that did well.
   */
  async explain(home: string, limitBytes: number, end: ProcessEnd): Promise<ProcessEnd> {
    if (end.kind === 'lost' || end.refused !== undefined || (end.kind === 'exited' && end.exitCode === 0)) return end;
    const isStopped = limitBytes > 0 && end.kind === 'signalled' && end.signal === SIGXFSZ;
    if (isStopped) return { ...end, refused: 'disk' };
    const reserveBytes = this.#ports.reserveBytes();
    const freeBytes = await this.#ports.freeBytes();
    const isFull = freeBytes < fullBytes;
    // What others have given up since changes nothing for this one.
    const isShort = isFull || freeBytes < reserveBytes || this.#ports.troubledLately();
    if (!isShort && limitBytes === 0) return end;
    const mayTake = limitBytes > 0 ? limitBytes : reserveBytes;
    const wasLarge = (await diskUse(home, { entriesMax, enoughBytes: mayTake })) >= mayTake;
    if (wasLarge) return isFull || limitBytes > 0 ? { ...end, refused: 'disk' } : end;
    return isShort ? { kind: 'lost', message: 'the disk of the node was full of other things' } : end;
  }

  /** Resolves when no look is under way any more. */
  async close(): Promise<void> {
    this.#watched.clear();
    this.#timer?.cancel();
    await this.#looking;
  }

  #next(): void {
    if (this.#timer || this.#watched.size === 0) return;
    this.#timer = this.#ports.clock.setTimer(lookEveryMs, () => {
      this.#looking = this.#look()
        .catch(passing)
        .finally(() => {
          this.#timer = undefined;
          this.#next();
        });
      background(this.#looking);
    });
  }

  async #look(): Promise<void> {
    if ((await this.#ports.freeBytes()) < this.#ports.reserveBytes()) await this.#endLargest();
    for (const watched of [...this.#watched]) {
      const { limitBytes, dueMs } = watched;
      if (limitBytes === 0 || dueMs > this.#ports.clock.monotonicMs()) continue;
      if ((await this.#measure(watched, limitBytes)) > limitBytes) this.#end(watched);
    }
  }

  /**
   * One at a time: when it is gone there may be room for the others. Only one that took more than the reserve, and asked
   * for nothing: where the disk is full of other things, ending those that run would help nobody.
   */
  async #endLargest(): Promise<void> {
    let largest: { watched: Watched; bytes: number } | undefined;
    for (const watched of [...this.#watched]) {
      if (watched.limitBytes > 0) continue;
      const bytes = await this.#measure(watched, Number.MAX_SAFE_INTEGER);
      if (largest === undefined || bytes > largest.bytes) largest = { watched, bytes };
    }
    if (largest && largest.bytes >= this.#ports.reserveBytes()) this.#end(largest.watched);
  }

  async #measure(watched: Watched, enoughBytes: number): Promise<number> {
    const { clock } = this.#ports;
    const sinceMs = clock.monotonicMs();
    const bytes = await diskUse(watched.home, { entriesMax, enoughBytes });
    watched.dueMs = clock.monotonicMs() + (clock.monotonicMs() - sinceMs) * restFactor;
    return bytes;
  }

  #end(watched: Watched): void {
    if (this.#watched.delete(watched)) watched.tell();
  }
}

/** Out of descriptors nothing can be measured: the next look is soon, and what runs goes on. */
function passing(error: unknown): void {
  if (!isSystemError(error, 'EMFILE', 'ENFILE', 'ENOMEM')) throw error;
}
