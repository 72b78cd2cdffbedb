import { uptime } from 'node:os';
import { performance } from 'node:perf_hooks';

/** A timer that has been set; `cancel` is harmless once it has fired. */
export interface Timer {
  cancel(): void;
}

/** Where time comes from. Everything that asks for time or waits for it takes one of these. */
export interface Clock {
  /** Milliseconds since 1970, for people and records. The wall clock may jump. */
  nowMs(): number;
  /** Milliseconds since some fixed moment; never jumps and never goes back. */
  monotonicMs(): number;
  /** Milliseconds since the machine was started, the time it slept included: for promises made to other machines. */
  sinceBootMs(): number;
  /** Calls `task` once, after `delayMs`. */
  setTimer(delayMs: number, task: () => void): Timer;
}

/** Longest delay `setTimeout` keeps, which is 24 days and some hours; a longer one would fire at once. */
const timerMaxMs = 2 ** 31 - 1;

/** The wall clock running away from the monotonic one by this much may be a sleep, in milliseconds. */
const sleepMs = 100;

/**
 * Time since the machine was started, its sleep included. To ask the system takes as long as a small file; between two
 * moments without sleep the monotonic clock tells the same, and a sleep shows as a jump of the wall clock against it.
 */
class Boottime {
  /** Wall clock, and time since boot, less the monotonic clock, when the system was asked last. */
  #wallMs = Number.NaN;
  #bootMs = 0;

  nowMs(): number {
    const monotonicMs = performance.now();
    const wallMs = Date.now() - monotonicMs;
    if (!(Math.abs(wallMs - this.#wallMs) < sleepMs)) {
      this.#wallMs = wallMs;
      this.#bootMs = uptime() * 1_000 - monotonicMs;
    }
    return this.#bootMs + monotonicMs;
  }
}

const boottime = new Boottime();

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sinceBootMs: () => boottime.nowMs(),
  setTimer(delayMs, task) {
    let handle: ReturnType<typeof setTimeout>;
    const set = (leftMs: number) => {
      const isLast = leftMs <= timerMaxMs;
      handle = isLast ? setTimeout(task, Math.max(0, leftMs)) : setTimeout(() => set(leftMs - timerMaxMs), timerMaxMs);
    };
    set(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * A clock whose `nowMs` never jumps: the wall clock as it was when this was made, and the time since, sleep included. For what
 * is told as a duration; not for dates that others wrote, such as those of certificates.
 */
export function steadyClock(clock: Clock): Clock {
  const startMs = clock.nowMs() - clock.sinceBootMs();
  return {
    nowMs: () => startMs + clock.sinceBootMs(),
    monotonicMs: () => clock.monotonicMs(),
    sinceBootMs: () => clock.sinceBootMs(),
    setTimer: (delayMs, task) => clock.setTimer(delayMs, task),
  };
}

/** Resolves after `delayMs`, or rejects with the signal's reason when aborted first. */
export function delay(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}
