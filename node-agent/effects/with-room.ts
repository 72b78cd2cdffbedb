import { Fault, isSystemError } from '../../base/errors.ts';

/**
 * A disk of our own that is full or read-only will be well some day; what an attempt left must not be lost by it: what
 * is lacking becomes a `Fault` (`no-room`), which `keepTrying` takes for something that passes.
 */
export async function withRoom<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (isSystemError(error, 'ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM')) {
      throw new Fault('no-room', `the agent is out of something: ${error.message}`, { cause: error });
    }
    throw error;
  }
}
