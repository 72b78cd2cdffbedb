import type { Clock, Timer } from '../../base/clock.ts';
import { fullPace, type Pace, timeLeftMs } from '../attempts/pace.ts';

/** Ends what runs for longer than it may. Time in which it was stopped does not count, and time in which it was slow counts in part. */
export class TimeLimit {
  readonly #clock: Clock;
  readonly #limitMs: number;
  #started: { readonly atMs: number; readonly over: () => void } | undefined;
  #pace: Pace;
  #timer: Timer | undefined;

  /** `limitMs` 0: none. */
  constructor(clock: Clock, limitMs: number, pace = fullPace) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#pace = pace;
  }

  get pace(): Pace {
    return this.#pace;
  }

  /** It runs since then (wall clock); `over` is called once when its time is over. */
  start(atMs: number, over: () => void): void {
    this.#started = { atMs, over };
    this.#set();
  }

  setPace(pace: Pace): void {
    this.#pace = pace;
    this.#set();
  }

  cancel(): void {
    this.#started = undefined;
    this.#timer?.cancel();
  }

  #set(): void {
    this.#timer?.cancel();
    if (!this.#started || this.#limitMs === 0) return;
    const { atMs, over } = this.#started;
    const leftMs = timeLeftMs(this.#pace, atMs, this.#limitMs, this.#clock.nowMs());
    if (leftMs !== undefined) this.#timer = this.#clock.setTimer(leftMs, over);
  }
}
