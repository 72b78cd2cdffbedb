import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import type { Clock, Timer } from '../clock.ts';

/** The collector's measure of how far a heap may grow. */
export interface HeapGrowth {
  usedBytes(): number;
  /** By how many percent it may grow beyond what lives until the next full collection; 0: as the engine thinks. */
  allow(percent: number): void;
}

/** A transfer of this many bytes is a burst: it makes more buffers than a small heap may grow by. */
const burstBytes = 16 * 2 ** 20;
/** What a heap may grow by during a burst, in bytes. */
export const roomBytes = 96 * 2 ** 20;
/** How long nothing must have passed until the burst is over, in milliseconds. */
const quietMs = 10_000;

/**
 * Gives the buffers of a large transfer room until the next full collection, and takes it back afterwards. The engine counts them as if they
 * were heap, and lets a heap of 20 MB grow by little more: on a busy machine, where buffers are freed late, it marked the whole heap
 * for every ten MiB that passed, and that was more than half of what a transfer cost.
 */
export class BurstRoom {
  readonly #clock: Clock;
  readonly #heap: HeapGrowth;
  #bytes = 0;
  #lastMs = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, heap: HeapGrowth = engineHeap) {
    this.#clock = clock;
    this.#heap = heap;
  }

  /** So much has just passed. */
  passed(bytes: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lastMs >= quietMs) this.#bytes = 0;
    this.#lastMs = nowMs;
    this.#bytes += bytes;
    if (this.#timer || this.#bytes < burstBytes) return;
    this.#heap.allow(Math.min(percentMax, Math.ceil((roomBytes / this.#heap.usedBytes()) * 100)));
    this.#waitForQuiet(quietMs);
  }

  close(): void {
    if (!this.#timer) return;
    this.#timer.cancel();
    this.#timer = undefined;
    this.#heap.allow(0);
  }

  #waitForQuiet(waitMs: number): void {
    this.#timer = this.#clock.setTimer(waitMs, () => {
      const leftMs = this.#lastMs + quietMs - this.#clock.monotonicMs();
      if (leftMs > 0) this.#waitForQuiet(leftMs);
      else this.close();
    });
  }
}

/** Far more than the smallest heap needs. */
const percentMax = 2_000;

const engineHeap: HeapGrowth = {
  usedBytes: () => getHeapStatistics().used_heap_size,
  // It is read at the end of each full collection, and holds for all threads; large heaps get less than the engine would give them by itself.
  allow: (percent) => setFlagsFromString(`--heap-growing-percent=${percent < largeHeapPercent ? 0 : percent}`),
};

/** The engine's own least: with less it is left to itself. */
const largeHeapPercent = 100;
