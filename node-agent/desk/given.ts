import type { DeskMemory } from './desk-memory.ts';

/** Counts what jobs were given here in a week that begins on Monday, 00:00, local time. */
export class Given {
  #weekMs: number;
  /** Each call would cost a calendar otherwise, and there is one for each change of a short job. */
  #weekEndMs = Number.NEGATIVE_INFINITY;
  #coreMs: number;
  #cores = 0;
  #sinceMs: number;

  constructor(before: DeskMemory['given'], nowMs: number) {
    this.#weekMs = before.weekMs;
    this.#coreMs = before.coreMs;
    this.#sinceMs = nowMs;
  }

  /** From now on this many cores are given (their share counted). Answers what was given this week so far. */
  at(nowMs: number, cores: number): DeskMemory['given'] {
    if (nowMs < this.#weekMs || nowMs >= this.#weekEndMs) this.#begin(nowMs);
    this.#coreMs += this.#cores * Math.max(0, nowMs - this.#sinceMs);
    this.#cores = cores;
    this.#sinceMs = nowMs;
    return { weekMs: this.#weekMs, coreMs: this.#coreMs };
  }

  /** Another week, unless it is the one that was counted before a restart. */
  #begin(nowMs: number): void {
    const weekMs = startOfWeek(nowMs);
    this.#weekEndMs = startOfWeek(weekMs + 8 * 86_400_000); // a week has an hour more or less when the clocks change
    if (weekMs === this.#weekMs) return;
    this.#weekMs = weekMs;
    this.#coreMs = 0;
    this.#sinceMs = Math.max(this.#sinceMs, weekMs);
  }
}

/** Minutes since Monday, 00:00, local time, and parts of one. */
export function minuteOfWeek(nowMs: number): number {
  const at = new Date(nowMs);
  const seconds = at.getSeconds() + at.getMilliseconds() / 1_000;
  return dayOfWeek(at) * 24 * 60 + at.getHours() * 60 + at.getMinutes() + seconds / 60;
}

/** 06:00 of the next day, local time. */
export function nextMorning(nowMs: number): number {
  const at = new Date(nowMs);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() + 1, 6).getTime();
}

function startOfWeek(nowMs: number): number {
  const at = new Date(nowMs);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() - dayOfWeek(at)).getTime();
}

/** 0 is Monday. */
function dayOfWeek(at: Date): number {
  return (at.getDay() + 6) % 7;
}
