import { type Refusal, refused } from '../../base/errors.ts';
import { writeDuration } from '../../config/units.ts';
import type { Pause } from '../presence/pauses.ts';
import { nextMorning } from './given.ts';

/** How long somebody wants a pause. */
export interface PauseWish {
  /** Nothing: as long as allowed. */
  readonly forMs: number | undefined;
  /** Until the next morning, or until nobody is at the desk; never longer than allowed. */
  readonly until: 'tomorrow' | 'away' | undefined;
  readonly reason: string;
}

/** What a pause may be here and now. */
export interface PauseTerms {
  readonly nowMs: number;
  /** By the clock on the wall. */
  readonly wallMs: number;
  /** The longest that is allowed, in milliseconds. */
  readonly maxMs: number;
  /** Somebody who leaves is noticed. */
  readonly isWatched: boolean;
}

/** The pause that somebody wants, or why they cannot have it. */
export function pauseFor(
  by: string,
  wish: PauseWish,
  { nowMs, wallMs, maxMs, isWatched }: PauseTerms,
): Pause | Refusal {
  const { forMs, until, reason } = wish;
  if (forMs !== undefined && !(forMs > 0)) return refused('invalid', 'Cannot pause: the time must be above 0');
  if (forMs !== undefined && forMs > maxMs) {
    return refused(
      'limit',
      `Cannot pause for so long: ${writeDuration(maxMs)} is the most at a time here; pause again later to renew it`,
    );
  }
  if (until === 'away' && !isWatched) {
    return refused(
      'invalid',
      'Cannot pause until you leave: this machine is dedicated, and nobody is watched for; say for how long',
    );
  }
  const untilMs = nowMs + (until === 'tomorrow' ? nextMorning(wallMs) - wallMs : (forMs ?? maxMs));
  return { by, reason, sinceMs: nowMs, untilMs, untilAway: until === 'away' };
}
