import { type Clock, systemClock } from '../../base/clock.ts';

/** Waits longer than this are cut to a moment, in milliseconds: what happens after hours happens in a test. */
const longMs = 60_000;
const momentMs = 20;

/** The machine's clock as it will be `aheadMs` from now, on which long waits are over soon. */
export function laterClock(aheadMs: number): Clock {
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + aheadMs,
    setTimer: (delayMs, task) => systemClock.setTimer(delayMs >= longMs ? momentMs : delayMs, task),
  };
}
