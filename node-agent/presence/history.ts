import { assert } from '../../base/assert.ts';

/** Hours of a week: slot 0 is Monday from 0:00 to 1:00, local time. */
export const slotsCount = 168;

/** How often somebody was there in each hour of the week; older weeks count less. */
export interface PresenceHistory {
  /** Time with somebody there, and time watched at all, per slot; decayed, in milliseconds. */
  readonly presentMs: readonly number[];
  readonly watchedMs: readonly number[];
}

/** Local time: what hour of the week it is, and when the next one begins. */
export interface LocalTime {
  slotOf(wallMs: number): number;
  /** The first moment of the next local hour; later than `wallMs`. */
  nextHourMs(wallMs: number): number;
}

/** After four more weeks of watching an hour, what was seen of it before counts half. */
const halfLifeMs = 4 * 3_600_000;
/** Before anything is known of an hour, somebody is as likely there as not; this much watching outweighs it. */
const priorMs = 900_000;
/** Longest stretch that is added at once: more is an error of the clock. */
const stretchMaxMs = 8 * 86_400_000;
/** Somebody is "usually away" in hours with a smaller chance than this, for at least so many in a row. */
const awayChance = 0.25;
const awayHours = 2;

/** A history of nothing. */
export function emptyHistory(): PresenceHistory {
  const zeros = () => new Array<number>(slotsCount).fill(0);
  return { presentMs: zeros(), watchedMs: zeros() };
}

/**
 * Adds a stretch of watching, from `fromMs` to `toMs` on the wall clock, during which somebody was there or nobody was.
 * A stretch that ends before it begins, or is longer than a week, says that the clock was set, and is left out.
 */
export function addStretch(
  history: PresenceHistory,
  stretch: { readonly fromMs: number; readonly toMs: number; readonly present: boolean },
  local: LocalTime,
): PresenceHistory {
  const { fromMs, toMs, present } = stretch;
  if (!(toMs > fromMs) || toMs - fromMs > stretchMaxMs) return history;
  const presentMs = [...history.presentMs];
  const watchedMs = [...history.watchedMs];
  for (let at = fromMs; at < toMs; ) {
    const slot = local.slotOf(at);
    const end = Math.min(toMs, local.nextHourMs(at));
    assert(end > at, 'the next hour is later');
    const keep = 0.5 ** ((end - at) / halfLifeMs);
    presentMs[slot] = (presentMs[slot] ?? 0) * keep + (present ? end - at : 0);
    watchedMs[slot] = (watchedMs[slot] ?? 0) * keep + (end - at);
    at = end;
  }
  return { presentMs, watchedMs };
}

/** How likely somebody is there in an hour of the week, from 0 to 1; 0.5 when nothing is known. */
export function chanceIn(history: PresenceHistory, slot: number): number {
  const presentMs = history.presentMs[slot] ?? 0;
  const watchedMs = history.watchedMs[slot] ?? 0;
  return (presentMs + priorMs / 2) / (watchedMs + priorMs);
}

/** How likely somebody comes within the next hour, from 0 to 1: the one number that leaves the node. */
export function chanceWithinHour(history: PresenceHistory, wallMs: number, local: LocalTime): number {
  const leftMs = Math.min(3_600_000, local.nextHourMs(wallMs) - wallMs);
  const now = chanceIn(history, local.slotOf(wallMs));
  const next = chanceIn(history, local.slotOf(local.nextHourMs(wallMs)));
  const left = leftMs / 3_600_000;
  // Nobody comes when nobody does in the rest of this hour, nor in as much of the next as makes it a whole one.
  return 1 - (1 - now) ** left * (1 - next) ** (1 - left);
}

/**
 * When, within a day, hours begin in which nobody usually is there, on the wall clock; now when they have begun; nothing
 * when there are none. For "usually from 19:00".
 */
export function usuallyAwayFromMs(history: PresenceHistory, wallMs: number, local: LocalTime): number | undefined {
  let beganMs: number | undefined;
  let hours = 0;
  let at = wallMs;
  for (let n = 0; n < 24 + awayHours; n++) {
    const away = chanceIn(history, local.slotOf(at)) < awayChance;
    beganMs = away ? (beganMs ?? at) : undefined;
    hours = away ? hours + 1 : 0;
    if (beganMs !== undefined && hours >= awayHours) return beganMs;
    at = local.nextHourMs(at);
  }
  return undefined;
}

/** Local time as the process has it, with its changes between winter and summer. */
export const localTime: LocalTime = {
  slotOf(wallMs) {
    const date = new Date(wallMs);
    return ((date.getDay() + 6) % 7) * 24 + date.getHours();
  },
  nextHourMs(wallMs) {
    // Minutes to the full hour, as the clock on the wall shows them: hours of some places begin at a half of others'.
    const date = new Date(wallMs);
    const intoMs = date.getMinutes() * 60_000 + date.getSeconds() * 1_000 + date.getMilliseconds();
    return Math.floor(wallMs) + 3_600_000 - intoMs;
  },
};

/** The history as it is kept on the node, in whole seconds; about 1 KB. */
export function writeHistory({ presentMs, watchedMs }: PresenceHistory): string {
  const seconds = (list: readonly number[]) => list.map((ms) => Math.round(ms / 1_000));
  return JSON.stringify({ version: 1, presentS: seconds(presentMs), watchedS: seconds(watchedMs) });
}

/** Reads what `writeHistory` wrote; nothing when it is not that. */
export function readHistory(text: string): PresenceHistory | undefined {
  const value = parsed(text);
  if (typeof value !== 'object' || value === null || !('version' in value) || value.version !== 1) return undefined;
  const watchedMs = 'watchedS' in value ? secondsOf(value.watchedS) : undefined;
  const presentMs = 'presentS' in value ? secondsOf(value.presentS) : undefined;
  if (watchedMs === undefined || presentMs === undefined) return undefined;
  return presentMs.every((ms, slot) => ms <= (watchedMs[slot] ?? 0)) ? { presentMs, watchedMs } : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // cut off or foreign: the caller begins anew and says so
  }
}

function secondsOf(value: unknown): readonly number[] | undefined {
  if (!Array.isArray(value) || value.length !== slotsCount) return undefined;
  const list = value.map((entry: unknown) => (typeof entry === 'number' && entry >= 0 ? entry * 1_000 : Number.NaN));
  return list.some((ms) => !Number.isFinite(ms)) ? undefined : list;
}
