import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { hashKept } from '../../base/transfer/chunk.ts';
import { isHollowLog } from '../scratch/unbacked.ts';
import { keepTrying } from '../uplink/backoff.ts';
import type { BulkLink } from '../uplink/bulk-link.ts';
import { LiveLog } from '../uplink/live-log.ts';
import { putFile } from '../uplink/put-file.ts';
import type { PutTarget } from '../uplink/put-stream.ts';

/** What a build's log needs to travel. */
export interface BuildLogPorts {
  readonly link: BulkLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Aborted when the agent stops. */
  readonly closing: AbortSignal;
}

/** A build's log on its way to the head: lines while it is written, then the whole of it, verified. */
export interface BuildLog {
  /** The build is not to be told about. */
  abandon(): Promise<void>;
  /** Resolves when the head has all of it. Never rejects: a log that cannot be kept must not undo a build. */
  complete(): Promise<void>;
}

/** Starts sending the log in a build's home, under the batch that asked for the build. */
export function openBuildLog(ports: BuildLogPorts, home: string, batchId: string): BuildLog {
  const target: PutTarget = { $case: 'build', value: { batchId } };
  const source = join(home, 'log');
  const live = new LiveLog({ ...ports, target, path: '', source });
  return {
    async abandon() {
      await live.close();
    },
    async complete() {
      const sentBytes = await live.close();
      try {
        const facts = await lstat(source);
        if (isHollowLog(facts)) throw new Fault('hollow', 'it is long and holds next to nothing');
        const sizeBytes = facts.size;
        const hash = await hashKept({ path: source }, sizeBytes);
        await keepTrying(ports, ports.closing, async () => {
          const stream = await ports.link.open(ports.closing);
          await putFile(
            stream,
            { target, path: '', source: { path: source }, sizeBytes, hash },
            Math.min(sentBytes, sizeBytes),
            ports.closing,
          );
        });
      } catch (error) {
        if (isSystemError(error, 'ENOENT') || ports.closing.aborted) return;
        ports.log.warn({ error: String(error), batchId }, 'the log of a build did not reach the head');
      }
    },
  };
}
