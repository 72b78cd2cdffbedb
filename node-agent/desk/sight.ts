import type { Clock } from '../../base/clock.ts';
import type { Seen, Sight } from '../presence/decide-yield.ts';
import { awayForMs } from '../presence/fuse.ts';
import type { StrainName, StrainWatch } from '../presence/strain.ts';
import type { PresenceWatch } from '../presence/watch.ts';
import { minuteOfWeek } from './given.ts';

/** What is looked at; both are missing on a machine where nobody sits. */
export interface SightPorts {
  readonly clock: Clock;
  wallMs(): number;
  readonly presence: Pick<PresenceWatch, 'current'> | undefined;
  /** What other programs want. */
  readonly strain: Pick<StrainWatch, 'seen'> | undefined;
}

/** Of what was never seen. */
export const unseen: Seen = { lastMs: undefined, why: '' };

/** What can be seen of desk and machine at `nowMs`, the present by `clock`. */
export function lookAround({ clock, wallMs, presence, strain }: SightPorts, nowMs: number): Sight {
  const seen = (name: StrainName) => strain?.seen(name) ?? unseen;
  const strained = { load: seen('load'), memory: seen('memory'), gpu: seen('gpu') };
  const sight = { nowMs, minuteOfWeek: minuteOfWeek(wallMs()), ...strained };
  if (!presence) return { ...sight, activity: unseen };
  const verdict = presence.current();
  const awayMs = awayForMs(verdict, clock.sinceBootMs());
  const never = verdict.lastActivityMs === undefined && !verdict.now;
  const lastMs = verdict.now ? Number.POSITIVE_INFINITY : never ? undefined : nowMs - awayMs;
  // Which signal saw them is nobody's business but theirs: this goes to the head.
  return { ...sight, activity: { lastMs, why: 'somebody is at the desk' } };
}
