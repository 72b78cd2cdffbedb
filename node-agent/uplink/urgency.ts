import type { Phase } from '../attempts/attempt.ts';

/**
 * When news is told: at once; within a moment, together with other news; or after a moment, if it still holds then and
 * nothing newer was noted under its key.
 */
export type Urgency = 'now' | 'soon' | 'passing';

/** Most phases are left at once by a short job, and what was wiped holds nothing that anyone waits for. */
const urgencies: Readonly<Record<Phase['kind'], Urgency>> = {
  assigned: 'passing',
  staging: 'passing',
  building: 'passing',
  starting: 'passing',
  running: 'passing',
  archiving: 'passing',
  ended: 'now',
  returned: 'now',
  lost: 'now',
  wiping: 'soon',
  wiped: 'soon',
  forgotten: 'soon',
};

/** So many waves of waiting jobs last until the head has heard of ends and given more. */
const plentyWaves = 2;

/**
 * When it is told that an attempt has come to this phase. An end is told at once, for the head has to give the next job;
 * where plenty wait on the node already, many ends together cost both sides less. `wavesWaiting`: how often what waits for
 * cores could fill them all.
 */
export function urgencyOf(phase: Phase['kind'], wavesWaiting: () => number): Urgency {
  if (phase === 'ended' && wavesWaiting() >= plentyWaves) return 'soon';
  return urgencies[phase];
}
