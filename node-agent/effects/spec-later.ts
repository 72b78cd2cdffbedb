import { AssertionError } from '../../base/assert.ts';
import { Fault, messageOf } from '../../base/errors.ts';

/**
 * What a batch says, for a job that has started: that the disk has no room to fetch it, or that this agent is too old for it, says
 * nothing about what the job left, so it becomes a `Fault` (`no-room`), which `keepTrying` takes for something that passes. One that
 * is damaged stays damaged.
 */
export async function specLater<Result>(reading: Promise<Result>): Promise<Result> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof AssertionError || (error instanceof Fault && error.code === 'invalid')) throw error;
    throw new Fault('no-room', `the job's batch cannot be read here now: ${messageOf(error)}`, { cause: error });
  }
}
