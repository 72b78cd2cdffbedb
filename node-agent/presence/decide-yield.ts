import type { DeskPolicy, PolicyHours, YieldStep } from '../../config/desk-policy.ts';
import { formatDuration } from '../../config/units.ts';
import type { Pause } from './pauses.ts';

/** What is known of the desk and the machine at one moment. Times are those of a clock that does not jump. */
export interface Sight {
  readonly nowMs: number;
  /** Since Monday, 00:00, by the machine's own time, parts of a minute included. */
  readonly minuteOfWeek: number;
  readonly activity: Seen;
  readonly load: Seen;
  readonly memory: Seen;
  readonly gpu: Seen;
}

/** When something that may start a yield was last so. */
export interface Seen {
  /** `Infinity` while it is so; nothing when it never was. */
  readonly lastMs: number | undefined;
  /** A sentence for people. */
  readonly why: string;
}

/** What the node does for the person at its desk. */
export interface Yielding {
  readonly step: 'none' | 'throttle' | 'pause';
  readonly takesJobs: boolean;
  readonly cause: Cause | '';
  /** Who asked; empty unless somebody did. */
  readonly by: string;
  readonly reason: string;
  /** When it ends at the latest, where that is known. */
  readonly untilMs: number | undefined;
  /** What must be so before it takes jobs; empty while it does. */
  readonly condition: string;
}

/** What is behind a yield. */
export type Cause = 'asked' | 'activity' | 'load' | 'hours' | 'memory' | 'gpu' | 'asleep';

/** A yield, and when to look again though nothing was seen to happen; nothing: no need. */
export interface Decision {
  readonly yielding: Yielding;
  readonly lookAgainMs: number | undefined;
}

/** A machine that is nobody's now. */
export const free: Yielding = {
  step: 'none',
  takesJobs: true,
  cause: '',
  by: '',
  reason: '',
  untilMs: undefined,
  condition: '',
};

/** A machine that is about to sleep, and does. */
export const asleep: Yielding = {
  step: 'pause',
  takesJobs: false,
  cause: 'asleep',
  by: '',
  reason: 'this machine sleeps',
  untilMs: undefined,
  condition: 'when it wakes up',
};

interface Claim {
  readonly cause: Cause;
  readonly step: YieldStep;
  readonly by: string;
  readonly reason: string;
  /** Until when the step holds; `Infinity` while nobody knows. */
  readonly untilMs: number;
  /** Until when nothing new starts. */
  readonly newWorkMs: number;
  readonly condition: string;
}

const minuteMs = 60_000;
const weekMinutes = 7 * 24 * 60;
const severity = { nothing: 0, throttle: 1, pause: 2 };

/**
 * What to do for whoever is there: the strongest of all that somebody asked for and the policy says. Of equal ones that which was
 * asked for, then the one that ends last.
 */
export function decideYield(policy: DeskPolicy, pauses: readonly Pause[], sight: Sight): Decision {
  const { nowMs } = sight;
  const claims = [...pauses.map(asked), ...hoursNow(policy.hours, sight), ...seenClaims(policy, sight)].filter(
    ({ untilMs, newWorkMs }) => untilMs > nowMs || newWorkMs > nowMs,
  );
  const holding = claims.filter(({ step, untilMs }) => step !== 'nothing' && untilMs > nowMs).toSorted(byWeight);
  const waiting = claims
    .filter(({ newWorkMs }) => newWorkMs > nowMs)
    .toSorted((one, other) => other.newWorkMs - one.newWorkMs);
  const first = holding[0] ?? waiting[0];
  const ends = claims.flatMap(({ untilMs, newWorkMs }) => [untilMs, newWorkMs]);
  const next = Math.min(...ends.filter((endMs) => endMs > nowMs), nextHoursMs(policy.hours, sight));
  const lookAgainMs = Number.isFinite(next) ? next - nowMs : undefined;
  if (!first) return { yielding: free, lookAgainMs };
  const { cause, by, reason, untilMs } = first;
  const step = first.step === 'nothing' || untilMs <= nowMs ? 'none' : first.step;
  return {
    yielding: {
      ...{ step, cause, by, reason },
      takesJobs: waiting.length === 0,
      untilMs: Number.isFinite(untilMs) && untilMs > nowMs && cause !== 'activity' ? untilMs : undefined,
      condition: waiting[0]?.condition ?? '',
    },
    lookAgainMs,
  };
}

function byWeight(one: Claim, other: Claim): number {
  const isAsked = (claim: Claim) => (claim.cause === 'asked' ? 1 : 0);
  return severity[other.step] - severity[one.step] || isAsked(other) - isAsked(one) || other.untilMs - one.untilMs;
}

function asked({ by, reason, untilMs }: Pause): Claim {
  const condition = `when the pause of ${by} has ended`;
  return { cause: 'asked', step: 'pause', by, reason, untilMs, newWorkMs: untilMs, condition };
}

function seenClaims(policy: DeskPolicy, sight: Sight): readonly Claim[] {
  const { resumeIdleMs, newWorkIdleMs } = policy;
  const wait = waitText(newWorkIdleMs);
  const causes: readonly [Cause, YieldStep, Seen, string][] = [
    ['activity', policy.onActivity, sight.activity, `when nobody has been at the desk for ${wait}`],
    ['load', policy.onLoad?.do ?? 'nothing', sight.load, `when other programs have left the cores alone for ${wait}`],
    ['memory', policy.onMemoryPressure, sight.memory, `when memory has sufficed for ${wait}`],
    ['gpu', policy.onGpuUse, sight.gpu, `when nobody else has used the GPU for ${wait}`],
  ];
  return causes.flatMap(([cause, step, { lastMs, why }, condition]) => {
    // What the owner does not mind is no reason to wait either; that somebody is there always is.
    if (lastMs === undefined || (step === 'nothing' && cause !== 'activity')) return [];
    const [untilMs, newWorkMs] = [lastMs + resumeIdleMs, lastMs + newWorkIdleMs];
    return [{ cause, step, by: '', reason: why, untilMs, newWorkMs, condition }];
  });
}

/** `15 min`, `25 s`, `1m30s`. */
function waitText(waitMs: number): string {
  if (waitMs === 0) return 'a moment';
  if (waitMs < minuteMs) return `${Math.ceil(waitMs / 1_000)} s`;
  return waitMs % minuteMs === 0 ? `${waitMs / minuteMs} min` : formatDuration(waitMs);
}

function hoursNow(hours: readonly PolicyHours[], sight: Sight): readonly Claim[] {
  return hours.flatMap((window) => {
    const leftMinutes = Math.max(...starts(window).map((start) => lengthOf(window) - since(start, sight)));
    if (window.do === 'nothing' || leftMinutes <= 0) return [];
    const untilMs = wholeSeconds(sight.nowMs + leftMinutes * minuteMs);
    const until = timeOfDay(window.toMinute);
    const reason = `its owner has these hours, until ${until}`;
    return [
      { cause: 'hours', step: window.do, by: '', reason, untilMs, newWorkMs: untilMs, condition: `after ${until}` },
    ];
  });
}

/** When the next of these hours begin. */
function nextHoursMs(hours: readonly PolicyHours[], sight: Sight): number {
  const minutes = hours.flatMap((window) => starts(window).map((start) => weekMinutes - since(start, sight)));
  return sight.nowMs + Math.min(...minutes) * minuteMs;
}

/** The same each time it is computed: what differs is told to the head. */
function wholeSeconds(ms: number): number {
  return Math.ceil((ms - 1) / 1_000) * 1_000;
}

function starts({ days, fromMinute }: PolicyHours): readonly number[] {
  return days.map((day) => day * 24 * 60 + fromMinute);
}

function lengthOf({ fromMinute, toMinute }: PolicyHours): number {
  return toMinute > fromMinute ? toMinute - fromMinute : toMinute + 24 * 60 - fromMinute;
}

/** Minutes since this minute of the week was last. */
function since(start: number, { minuteOfWeek }: Sight): number {
  return (minuteOfWeek - start + weekMinutes) % weekMinutes;
}

function timeOfDay(minute: number): string {
  return `${String(Math.floor(minute / 60) % 24).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}
