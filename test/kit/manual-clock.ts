import type { Clock } from '../../base/clock.ts';

/** A clock that stands still until the test moves it. */
export class ManualClock implements Clock {
  #atMs: number;
  readonly #timers = new Set<{ dueMs: number; readonly task: () => void }>();

  constructor(startMs = 1_000_000) {
    this.#atMs = startMs;
  }

  nowMs(): number {
    return this.#atMs;
  }

  monotonicMs(): number {
    return this.#atMs;
  }

  sinceBootMs(): number {
    return this.#atMs;
  }

  setTimer(delayMs: number, task: () => void) {
    const timer = { dueMs: this.#atMs + delayMs, task };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** How long until each timer that is set, in milliseconds, soonest first. */
  get waits(): readonly number[] {
    return [...this.#timers].map(({ dueMs }) => dueMs - this.#atMs).sort((a, b) => a - b);
  }

  /** The machine sleeps for so long: time goes on, and timers stand still. */
  sleep(forMs: number): void {
    this.#atMs += forMs;
    for (const timer of this.#timers) timer.dueMs += forMs;
  }

  /** Moves on, and calls what is due on the way, in order. */
  advance(byMs: number): void {
    const endMs = this.#atMs + byMs;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined || next.dueMs > endMs) break;
      this.#timers.delete(next);
      this.#atMs = next.dueMs;
      next.task();
    }
    this.#atMs = endMs;
  }
}
