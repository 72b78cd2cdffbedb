import {
  addStretch,
  chanceWithinHour,
  emptyHistory,
  type LocalTime,
  type PresenceHistory,
  readHistory,
  usuallyAwayFromMs,
  writeHistory,
} from '../presence/history.ts';

/** Before it has been watched for so long, nothing is said of anybody's habits, in milliseconds. */
const knownAfterMs = 7 * 86_400_000;
/** The chance is told in steps of this size: each change is news for the head. */
const chanceStep = 0.05;

/** What is known of when somebody is at the desk. */
export interface Habits {
  /** From which minute of the local day they are usually away; nothing while too little is known. */
  readonly usuallyFreeFromMinute: number | undefined;
  /** The chance that they come within the next hour, 0 to 1; nothing while too little is known. */
  readonly interruption: number | undefined;
}

/** Learns when somebody is at the desk. */
export class DeskHabits {
  readonly #local: LocalTime;
  #history: PresenceHistory;
  #last: { readonly atMs: number; readonly present: boolean } | undefined;

  /** `text`: as kept before; empty in the beginning. */
  constructor(text: string, local: LocalTime) {
    this.#local = local;
    this.#history = readHistory(text) ?? emptyHistory();
  }

  /** To be kept. */
  get text(): string {
    return writeHistory(this.#history);
  }

  /** Somebody is there from now on, or nobody. Wall clock. */
  note(nowMs: number, present: boolean): void {
    const last = this.#last;
    if (last)
      this.#history = addStretch(this.#history, { fromMs: last.atMs, toMs: nowMs, present: last.present }, this.#local);
    this.#last = { atMs: nowMs, present };
  }

  at(nowMs: number): Habits {
    const watchedMs = this.#history.watchedMs.reduce((sum, ms) => sum + ms, 0);
    if (watchedMs < knownAfterMs) return { usuallyFreeFromMinute: undefined, interruption: undefined };
    const awayMs = usuallyAwayFromMs(this.#history, nowMs, this.#local);
    const chance = chanceWithinHour(this.#history, nowMs, this.#local);
    return {
      usuallyFreeFromMinute: awayMs === undefined ? undefined : minuteOfDay(awayMs),
      interruption: Math.round(chance / chanceStep) * chanceStep,
    };
  }

  /** In how long the next hour begins: the chance is another one then. */
  nextHourInMs(nowMs: number): number {
    return this.#local.nextHourMs(nowMs) - nowMs;
  }
}

function minuteOfDay(atMs: number): number {
  const at = new Date(atMs);
  return at.getHours() * 60 + at.getMinutes();
}
