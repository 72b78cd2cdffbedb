/** What a node does for the person at its desk, as it last said. Moments are those of the head's clock. */
export interface Yielding {
  readonly step: YieldStep;
  readonly takesJobs: boolean;
  /** Empty while it does nothing, and of an agent that names one this head does not know. */
  readonly cause: YieldCause | '';
  /** Who asked for it; empty unless somebody did. */
  readonly by: string;
  /** Their words, or a sentence of the agent's. */
  readonly reason: string;
  readonly sinceMs: number;
  /** When it ends at the latest, where that is known. The node ends it, not the head. */
  readonly untilMs: number | undefined;
  /** What must be so before it takes jobs again, as in "when nobody has been at the desk for 15 min". */
  readonly condition: string;
  /** From which minute of its local day its owner is usually away. */
  readonly usuallyFreeFromMinute: number | undefined;
  /** The chance, in thousandths, that its owner comes within the next hour. */
  readonly interruptionPerMille: number | undefined;
}

/** The same as it crosses the wire: durations, for clocks of machines differ. */
export interface ToldYield extends Omit<Yielding, 'sinceMs' | 'untilMs'> {
  readonly sinceMsAgo: number;
  readonly endsInMs: number | undefined;
}

export const yieldSteps = ['none', 'throttle', 'pause'] as const;
export type YieldStep = (typeof yieldSteps)[number];
export const yieldCauses = ['asked', 'activity', 'load', 'hours', 'memory', 'gpu', 'asleep'] as const;
export type YieldCause = (typeof yieldCauses)[number];

/** Of a node that yields to nobody. */
export const unyielding: Yielding = {
  step: 'none',
  takesJobs: true,
  cause: '',
  by: '',
  reason: '',
  sinceMs: 0,
  untilMs: undefined,
  condition: '',
  usuallyFreeFromMinute: undefined,
  interruptionPerMille: undefined,
};

/** How far two accounts of one moment may lie apart, in milliseconds: a message takes its time. */
const sameMomentMs = 5_000;
/** By how much the chance of an interruption must change to be worth a record, in thousandths. */
const sameChancePerMille = 50;

/** Whether two say the same, as far as it matters to anybody. */
export function isSameYield(one: Yielding, other: Yielding): boolean {
  return (
    one.step === other.step &&
    one.takesJobs === other.takesJobs &&
    one.cause === other.cause &&
    one.by === other.by &&
    one.reason === other.reason &&
    one.condition === other.condition &&
    one.usuallyFreeFromMinute === other.usuallyFreeFromMinute &&
    // Since when it does nothing is nobody's concern.
    (one.cause === '' || isNear(one.sinceMs, other.sinceMs, sameMomentMs)) &&
    isNear(one.untilMs, other.untilMs, sameMomentMs) &&
    isNear(one.interruptionPerMille, other.interruptionPerMille, sameChancePerMille)
  );
}

/**
 * What a node does for the person at its desk, as it follows the node's name; nothing while it does nothing. Moments
 * are ISO 8601 in UTC: whoever shows the sentence knows the reader's time zone.
 */
export function yieldText(yielding: Yielding): string | undefined {
  const doing = doingText(yielding);
  if (doing === undefined) return undefined;
  return yielding.takesJobs ? doing : `${doing}${freeText(yielding)}`;
}

/** The same without when it takes jobs again. */
export function doingText({ step, cause, by, reason, untilMs, takesJobs }: Yielding): string | undefined {
  if (step === 'none' && takesJobs) return undefined;
  if (cause === 'asleep') return 'is asleep';
  const until = untilMs === undefined ? '' : ` until ${new Date(untilMs).toISOString()}`;
  const said = reason === '' ? '' : by === '' ? `: ${reason}` : `: "${reason}"`;
  const whose = by === '' ? '' : ` by ${by}`;
  if (step === 'pause') return `is paused${whose}${until}${said}`;
  if (step === 'none') return `takes no new jobs${until}${said}`;
  return `gives jobs less than all it has${takesJobs ? '' : ', and takes no new ones'}${until}${said}`;
}

function freeText({ condition, usuallyFreeFromMinute }: Yielding): string {
  const usual = usuallyFreeFromMinute === undefined ? '' : `usually from ${clockText(usuallyFreeFromMinute)}`;
  if (condition === '' && usual === '') return '';
  return `; it is free for you ${[condition, usual].filter((part) => part !== '').join(', ')}`;
}

/** `19:05`, of a minute of the day. */
function clockText(minute: number): string {
  const pad = (value: number) => String(value).padStart(2, '0');
  return `${pad(Math.floor(minute / 60))}:${pad(minute % 60)}`;
}

function isNear(one: number | undefined, other: number | undefined, within: number): boolean {
  if (one === undefined || other === undefined) return one === other;
  return Math.abs(one - other) < within;
}
