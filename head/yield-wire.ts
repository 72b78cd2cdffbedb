import { type Refusal, refused } from '../base/errors.ts';
import type { ClusterId } from '../base/ids.ts';
import type * as wire from '../proto/gen/labrun/v1/agent_link.ts';
import { agoMaxMs, messageMax, textMax } from './agent-limits.ts';
import { readFence } from './fence-wire.ts';
import type { AttemptRef } from './scheduler/attempt.ts';
import { type ToldYield, yieldCauses, yieldSteps } from './scheduler/yielding.ts';

/** Minutes of a day. */
const dayMinutes = 24 * 60;

/** A node's wish to be rid of an attempt, checked. */
export interface Wish {
  readonly wished: AttemptRef;
  readonly reason: string;
}

/**
 * Reads what a node does for the person at its desk. What a later release adds is no reason to give it jobs that it does
 * not take: a step that is not known here is one by which jobs get less.
 */
export function readYield(told: wire.NodeYield): ToldYield {
  const { usuallyFreeFromMinute: minute, interruptionPerMille: chance } = told;
  return {
    step: yieldSteps.find((known) => known === told.step) ?? 'throttle',
    takesJobs: told.takesJobs,
    cause: yieldCauses.find((known) => known === told.cause) ?? '',
    by: told.by.slice(0, textMax),
    reason: told.reason.slice(0, textMax),
    sinceMsAgo: bounded(told.sinceMsAgo),
    endsInMs: told.endsInMs === undefined ? undefined : bounded(told.endsInMs),
    condition: told.condition.slice(0, textMax),
    usuallyFreeFromMinute: minute !== undefined && minute < dayMinutes ? minute : undefined,
    interruptionPerMille: chance === undefined ? undefined : Math.min(chance, 1000),
  };
}

/** Reads a wish. */
export function readWish({ fence, reason }: wire.RequeueWish, clusterId: ClusterId): Wish | Refusal {
  const wished = readFence(fence, clusterId);
  if (!wished) return refused('invalid', 'Cannot read which attempt a node wants to be rid of');
  return 'code' in wished ? wished : { wished, reason: reason.slice(0, messageMax) };
}

function bounded(durationMs: bigint): number {
  return Math.min(Number(durationMs), agoMaxMs);
}
