/**
 * A pause that somebody at the desk has asked for. Times are those of a clock that does not jump; as they are kept, of the
 * wall clock, for a pause outlives a reboot.
 */
export interface Pause {
  /** The account that asked. */
  readonly by: string;
  readonly reason: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Ends before that when nobody is at the desk any more. */
  readonly untilAway: boolean;
}

/** Pauses that are kept at a time: one a person, and no more people than sit at a machine. */
export const pausesMax = 100;

/**
 * One more pause, in place of an earlier one of the same person, which it renews. No pause is longer than `maxMs`, also
 * one whose clock was put back since.
 */
export function addPause(pauses: readonly Pause[], pause: Pause, maxMs: number): readonly Pause[] {
  const before = pauses.find(({ by }) => by === pause.by);
  const untilMs = Math.min(pause.untilMs, pause.sinceMs + maxMs);
  const others = pauses.filter(({ by }) => by !== pause.by).slice(-(pausesMax - 1));
  return [...others, { ...pause, sinceMs: before?.sinceMs ?? pause.sinceMs, untilMs }];
}

/** Without those of one person; of nobody in particular: without any. */
export function endPauses(pauses: readonly Pause[], by: string | undefined): readonly Pause[] {
  return by === undefined ? [] : pauses.filter((pause) => pause.by !== by);
}

/** Without those of people who have left. */
export function leavePauses(pauses: readonly Pause[]): readonly Pause[] {
  return pauses.some(({ untilAway }) => untilAway) ? pauses.filter(({ untilAway }) => !untilAway) : pauses;
}

/** The same by a clock that is ahead by so much. */
export function movePauses(pauses: readonly Pause[], byMs: number): readonly Pause[] {
  return pauses.map((pause) => ({ ...pause, sinceMs: pause.sinceMs + byMs, untilMs: pause.untilMs + byMs }));
}

/** Those that still hold. What would end later than a pause can was written by a clock that was ahead. */
export function livePauses(pauses: readonly Pause[], nowMs: number, maxMs: number): readonly Pause[] {
  const live = pauses.filter(({ untilMs }) => untilMs > nowMs);
  if (live.every(({ untilMs }) => untilMs <= nowMs + maxMs)) return live.length === pauses.length ? pauses : live;
  return live.map((pause) => ({ ...pause, untilMs: Math.min(pause.untilMs, nowMs + maxMs) }));
}
