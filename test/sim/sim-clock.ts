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
/** What is nearer than this is due, in milliseconds: sums of fractions do not always meet. */
const graceMs = 0.001;
/** How long what a process has begun takes at most, in milliseconds, where it cannot be stopped any more. */
const begunMs = 10;

/** The time of one host: it stands still while the host is asleep, and its wall clock says what somebody has set. */
export class HostTime {
  readonly #time: SimTime;
  #wallOffsetMs = 0;
  #asleepSinceMs = 0;
  #asleepUntilMs = 0;
  /** In all, up to the last sleep's end. */
  #sleptMs = 0;

  constructor(time: SimTime) {
    this.#time = time;
  }

  /** When a sleeping host wakes; in the past for one that is awake. */
  get asleepUntilMs(): number {
    return this.#asleepUntilMs;
  }

  get isAsleep(): boolean {
    return this.#time.nowMs < this.#asleepUntilMs;
  }

  /** Whether what was begun before it fell asleep may be going on just now. */
  get hasJustWoken(): boolean {
    return this.#asleepUntilMs > 0 && this.#time.nowMs - this.#asleepUntilMs < begunMs;
  }

  /** What its wall clock shows, in milliseconds since 1970. */
  get wallMs(): number {
    return epochMs + this.#time.nowMs + this.#wallOffsetMs;
  }

  /** Time that it was awake, in milliseconds. */
  get awakeMs(): number {
    if (!this.isAsleep) return this.#time.nowMs - this.#sleptMs;
    return this.#asleepSinceMs - (this.#sleptMs - (this.#asleepUntilMs - this.#asleepSinceMs));
  }

  /** Time since the machine was started, asleep or not, in milliseconds. */
  get sinceBootMs(): number {
    return this.#time.nowMs;
  }

  /** Falls asleep; nothing happens there for so long. */
  sleep(forMs: number): void {
    if (this.isAsleep) return;
    this.#asleepSinceMs = this.#time.nowMs;
    this.#asleepUntilMs = this.#time.nowMs + forMs;
    this.#sleptMs += forMs;
  }

  /** Somebody sets the wall clock, this much ahead of the true time or behind it. */
  setWall(offsetMs: number): void {
    this.#wallOffsetMs = offsetMs;
  }

  /** Calls `task` once, after `delayMs` awake. */
  after(delayMs: number, task: () => void): void {
    const dueMs = this.awakeMs + Math.max(0, delayMs);
    const look = () => {
      const leftMs = dueMs - this.awakeMs;
      if (this.isAsleep) this.#time.after(this.#asleepUntilMs - this.#time.nowMs + Math.max(0, leftMs), look);
      else if (leftMs > graceMs) this.#time.after(leftMs, look);
      else task();
    };
    this.#time.after(delayMs, look);
  }
}

/** The clock of one process: its timers end with it. */
export class ProcessClock implements Clock {
  readonly #host: HostTime;
  #alive = true;

  constructor(host: HostTime) {
    this.#host = host;
  }

  nowMs(): number {
    return this.#host.wallMs;
  }

  monotonicMs(): number {
    return this.#host.awakeMs;
  }

  sinceBootMs(): number {
    return this.#host.sinceBootMs;
  }

  setTimer(delayMs: number, task: () => void) {
    let cancelled = false;
    this.#host.after(delayMs, () => {
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
