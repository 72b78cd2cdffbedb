import type * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import { unyielding, type Yielding, yieldCauses, yieldSteps } from '../scheduler/yielding.ts';
import { big, maybeBig, maybeNumber } from './value-codec.ts';

/** What a node does for the person at its desk, as the disk has it. */
export function encodeYielding({ sinceMs, untilMs, ...yielding }: Yielding): disk.Yielding {
  return { ...yielding, sinceMs: big(sinceMs), untilMs: maybeBig(untilMs) };
}

/** The same, from the disk. A step that a later version wrote is one by which jobs get less. */
export function decodeYielding(stored: disk.Yielding | undefined): Yielding {
  if (!stored) return unyielding;
  const { step, cause, sinceMs, untilMs, ...told } = stored;
  return {
    ...told,
    step: yieldSteps.find((known) => known === step) ?? 'throttle',
    cause: yieldCauses.find((known) => known === cause) ?? '',
    sinceMs: Number(sinceMs),
    untilMs: maybeNumber(untilMs),
    usuallyFreeFromMinute: told.usuallyFreeFromMinute,
    interruptionPerMille: told.interruptionPerMille,
  };
}
