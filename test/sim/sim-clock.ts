import type { Clock } from '../../base/clock.ts';

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly task: () => void;
}

/** Time in a simulated world: it stands still until the next thing that is due, and then is there at once. */
export class SimTime {
  nowMs = 0;
  #order = 0;
  /** A binary heap, soonest first; what is due at one moment comes in the order it was asked for. */
  readonly #heap: Due[] = [];

  /** Calls `task` once, `delayMs` from now. */
  after(delayMs: number, task: () => void): void {
    this.#heap.push({ atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, task });
    let at = this.#heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isSooner(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Goes to what is due next and does it; false when nothing is. */
  next(): boolean {
    const due = this.#pop();
    if (!due) return false;
    this.nowMs = due.atMs;
    due.task();
    return true;
  }

  #pop(): Due | undefined {
    const [first] = this.#heap;
    const last = this.#heap.pop();
    if (!first || !last || first === last) return first;
    this.#heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < this.#heap.length && this.#isSooner(child, least)) least = child;
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #isSooner(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    return !!a && !!b && (a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));
  }

  #swap(one: number, other: number): void {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (!a || !b) return;
    this.#heap[one] = b;
    this.#heap[other] = a;
  }
}

/** Wall time at the beginning of every world, in milliseconds since 1970. */
const epochMs = Date.UTC(2026, 0, 1);

/** The clock of one process: its timers end with it. */
export class ProcessClock implements Clock {
  readonly #time: SimTime;
  #alive = true;

  constructor(time: SimTime) {
    this.#time = time;
  }

  nowMs(): number {
    return epochMs + this.#time.nowMs;
  }

  monotonicMs(): number {
    return this.#time.nowMs;
  }

  sinceBootMs(): number {
    return this.#time.nowMs;
  }

  setTimer(delayMs: number, task: () => void) {
    let cancelled = false;
    this.#time.after(delayMs, () => {
      if (!cancelled && this.#alive) task();
    });
    return {
      cancel: () => {
        cancelled = true;
      },
    };
  }

  stop(): void {
    this.#alive = false;
  }
}
