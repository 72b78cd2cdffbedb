import { unreachable } from '../../base/assert.ts';
import type { Place, Seen, SignalReading } from './signal.ts';

/** Who is at the desk. Times are milliseconds since the machine was started. */
export interface Fused {
  /** Somebody is there, may be there unseen, or was there less than `awayAfterMs` ago. */
  readonly present: boolean;
  /** Somebody acts, films run, or a person may sit unseen at this very moment: nobody has been away for any time. */
  readonly now: boolean;
  /** When anybody was last seen to act; the moment asked about while somebody acts; nothing when nobody ever did. */
  readonly lastActivityMs: number | undefined;
  /** The signal that decided, in words without times: "x11 :0: keyboard or pointer in use". */
  readonly why: string;
  readonly signals: readonly SignalView[];
}

/** One source as it was fused. */
export interface SignalView {
  readonly source: string;
  readonly reading: SignalReading;
  /** It can't tell, but another source sees the same place. */
  readonly covered: boolean;
}

/**
 * Makes one verdict of all signals: the most recent activity wins. What is unknown counts as present unless another
 * signal sees the place; a signal that failed, and one with nothing to watch, says nothing.
 */
export function fuse(sources: ReadonlyMap<string, Seen>, nowMs: number, awayAfterMs: number): Fused {
  const places = new Set<Place>();
  for (const { reading, sees } of sources.values()) {
    if (settles(reading)) for (const place of sees) places.add(place);
  }
  const signals = [...sources]
    .map(([source, { reading }]) => ({ source, reading, covered: isCovered(reading, places) }))
    .sort((a, b) => (a.source < b.source ? -1 : 1));
  const ranked = signals
    .map((view) => ({ view, weight: weigh(view, nowMs) }))
    .filter(({ weight }) => weight.rank > 0)
    .sort((a, b) => b.weight.rank - a.weight.rank || b.weight.lastMs - a.weight.lastMs);
  const [first] = ranked;
  if (first === undefined) {
    return {
      present: false,
      now: false,
      lastActivityMs: undefined,
      why: 'no seat, display or login is in use',
      signals,
    };
  }
  const { rank } = first.weight;
  const acted = ranked.filter(({ weight }) => weight.lastMs > Number.NEGATIVE_INFINITY);
  const lastActivityMs = acted.length === 0 ? undefined : Math.max(...acted.map(({ weight }) => weight.lastMs));
  const now = rank > ranks.idle;
  const present = now || nowMs - first.weight.lastMs < awayAfterMs;
  return { present, now, lastActivityMs, why: `${first.view.source}: ${words(first.view.reading)}`, signals };
}

/** How long nobody has been there, in milliseconds; 0 while somebody is or may be; infinite when nobody ever was. */
export function awayForMs(verdict: Pick<Fused, 'now' | 'lastActivityMs'>, nowMs: number): number {
  if (verdict.now) return 0;
  return verdict.lastActivityMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, nowMs - verdict.lastActivityMs);
}

/** What a reading says, in words without times. */
export function words(reading: SignalReading): string {
  switch (reading.kind) {
    case 'active':
    case 'idle':
      return reading.detail;
    case 'busy':
      return reading.what;
    case 'absent':
    case 'unknown':
    case 'failed':
      return reading.why;
    default:
      return unreachable(reading);
  }
}

/** What decides before what; among those that are idle, the one that acted last. */
const ranks = { silent: 0, idle: 1, unknown: 2, busy: 3, active: 4 } as const;

interface Weight {
  readonly rank: number;
  /** The last activity it knows; minus infinity when it knows none. */
  readonly lastMs: number;
}

function weigh({ reading, covered }: SignalView, nowMs: number): Weight {
  switch (reading.kind) {
    case 'active':
      return { rank: ranks.active, lastMs: nowMs };
    case 'busy':
      return { rank: ranks.busy, lastMs: nowMs };
    case 'idle': // a clock that was set back must not put activity into the future, where it would last
      return { rank: ranks.idle, lastMs: Math.min(reading.lastActiveMs, nowMs) };
    case 'unknown':
      return { rank: covered ? ranks.silent : ranks.unknown, lastMs: Number.NEGATIVE_INFINITY };
    case 'absent':
    case 'failed':
      return { rank: ranks.silent, lastMs: Number.NEGATIVE_INFINITY };
    default:
      return unreachable(reading);
  }
}

function settles(reading: SignalReading): boolean {
  return reading.kind !== 'unknown' && reading.kind !== 'failed';
}

function isCovered(reading: SignalReading, places: ReadonlySet<Place>): boolean {
  return reading.kind === 'unknown' && reading.places.some((place) => places.has(place));
}
