import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { relativePathProblem } from '../../base/names.ts';
import type { Random } from '../../base/random.ts';
import type { Attempt } from '../attempts/attempt.ts';
import { watchAfterMs } from '../attempts/limits.ts';
import type { Executor, Workspace } from '../ports.ts';
import type { BulkLink } from '../uplink/bulk-link.ts';
import { EarlyFiles } from '../uplink/early-files.ts';
import { LiveLog } from '../uplink/live-log.ts';
import type { ArchiveSender } from '../uplink/send-archive.ts';

/** What a running job's log and files need to travel. */
export interface LiveTravelPorts {
  readonly link: BulkLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly executor: Executor;
  readonly workspace: Pick<Workspace, 'owner' | 'holesMaxBytes'>;
}

/** Sends a job's log and finished files while it runs; begins only when it has run for a while. */
export class LiveTravel {
  #timer: Timer | undefined;
  #log: LiveLog | undefined;
  #files: EarlyFiles | undefined;
  readonly #sender: ArchiveSender;

  constructor(ports: LiveTravelPorts, attempt: Attempt, home: string, sender: ArchiveSender) {
    this.#sender = sender;
    this.#timer = ports.clock.setTimer(watchAfterMs, () => {
      const target = { $case: 'attempt' as const, value: { ...attempt.assignment.fence } };
      this.#log = new LiveLog({ ...ports, target, path: 'log', source: join(home, 'log') });
      const { owner } = ports.workspace;
      this.#files = new EarlyFiles({
        ...ports,
        folder: archiveFolder(home),
        owner,
        holesMaxBytes: ports.workspace.holesMaxBytes(),
        sender,
        processes: () => ports.executor.processes(home),
      });
    });
  }

  /** Resolves when nothing is on its way any more; the sender then knows what has arrived of the log. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#files?.close();
    if (this.#log) this.#sender.noteLog(await this.#log.close());
  }
}

/** Some runtimes have the archive in the working folder, and one link to there; it is read as text, never followed. */
function archiveFolder(home: string): string {
  const archive = join(home, 'archive');
  try {
    const target = readlinkSync(archive);
    return relativePathProblem(target) === undefined ? join(home, target) : archive;
  } catch (error) {
    if (isSystemError(error, 'EINVAL', 'ENOENT')) return archive; // a folder, as most are
    throw error;
  }
}
