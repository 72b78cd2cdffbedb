/** How fast an attempt's processes could go while they ran, for time limits count only the time that a job was given. */
export interface Pace {
  /** Of what was granted, from `sinceMs` on: 1 all, 0 they are stopped. */
  readonly share: number;
  /** Wall clock; 0 before the first change. */
  readonly sinceMs: number;
  /** For how long they were stopped before that. */
  readonly pausedMs: number;
  /** Time that does not count before that: all while they were stopped, a part while they had less than was granted. */
  readonly lostMs: number;
}

/** Of an attempt that nobody has slowed down. */
export const fullPace: Pace = { share: 1, sinceMs: 0, pausedMs: 0, lostMs: 0 };

/** The same with everything up to now counted. A clock that was put back counts nothing. */
export function paceAt(pace: Pace, nowMs: number): Pace {
  const elapsedMs = pace.sinceMs === 0 ? 0 : Math.max(0, nowMs - pace.sinceMs);
  return {
    share: pace.share,
    sinceMs: nowMs,
    pausedMs: pace.pausedMs + (pace.share === 0 ? elapsedMs : 0),
    lostMs: pace.lostMs + (1 - pace.share) * elapsedMs,
  };
}

/** In how many milliseconds a time limit is over at this pace; nothing while the job is stopped. */
export function timeLeftMs(pace: Pace, startedAtMs: number, timeLimitMs: number, nowMs: number): number | undefined {
  if (pace.share === 0) return undefined;
  const ranMs = nowMs - startedAtMs - paceAt(pace, nowMs).lostMs;
  return Math.max(0, (timeLimitMs - ranMs) / pace.share);
}
