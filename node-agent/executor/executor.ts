import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { makeFolderSync } from '../../base/make-folder.ts';
import type { Executor } from '../ports.ts';
import { freezingNeeds } from './find-freezing.ts';
import { tidyAll } from './leftovers.ts';
import { ProcessExecutor } from './process-executor.ts';
import { findWays, type WaysOptions } from './ways.ts';

/** What an executor needs. */
export interface ExecutorOptions extends WaysOptions {
  /** Where supervisors have their folders (`<root>/supervisors`). One executor at a time. */
  readonly folder: string;
  readonly clock: Clock;
}

/**
 * Starts the executor: finds out by trying how processes can be tracked here, and removes what dead supervisors left.
 *
 * In a home it writes `identity` and `exit`, a few hundred bytes each, and the job's own `log`; nothing else.
 * In its own folder there is one folder per supervisor: `identity`, `home` (whose tree it has), two FIFOs, and while
 * its tree is stopped by signals or throttled `stopped` and `throttled`: how it was before.
 * Throws `Fault`: `supervisor-failed` when no supervisor can be had at all, `no-freezing` when trees cannot be stopped in
 * any of the ways that are allowed.
 */
export async function openExecutor(options: ExecutorOptions): Promise<Executor> {
  makeFolderSync(options.folder);
  let failure: unknown;
  for (const ways of findWays(options)) {
    tidyAll(options.folder, ways.parents);
    const executor = new ProcessExecutor(options, ways);
    try {
      await executor.tryOut();
      return executor;
    } catch (error) {
      failure = error;
      await executor.close();
    }
  }
  const wanted = options.freezings ?? ['stop'];
  if (!wanted.includes('stop')) throw new Fault('no-freezing', freezingNeeds(wanted), { cause: failure });
  throw new Fault('supervisor-failed', 'Cannot start processes: no kind of tracking works here', { cause: failure });
}
