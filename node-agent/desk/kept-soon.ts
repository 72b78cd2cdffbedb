import { background } from '../../base/background.ts';
import { type Clock, delay } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { AgentRecord } from '../store/agent-record.ts';

/** Where things are kept. */
export interface KeptPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly record: Pick<AgentRecord, 'durable'>;
}

/** A disk takes milliseconds; one that is full or gone takes for ever. In milliseconds. */
const keptWithinMs = 3_000;

/**
 * The disk knows; or has no room for it now, and will know when it has. People do not wait for that, but are told: `told`
 * hears that the disk is late, and when it is no longer.
 */
export async function keptSoon({ clock, log, record }: KeptPorts, told: (isLate: boolean) => void): Promise<void> {
  const enough = new AbortController();
  const late = delay(clock, keptWithinMs, enough.signal).then(
    () => {
      log.error({}, 'the disk has not taken what the desk was told; a restart of the agent could forget it');
      told(true);
    },
    () => undefined, // it was taken in time
  );
  const durable = record.durable().then(() => told(false));
  background(durable);
  await Promise.race([durable, late]);
  enough.abort(new Error('the disk has it'));
}
