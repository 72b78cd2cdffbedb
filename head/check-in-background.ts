import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { rejectionBy } from '../base/rejection.ts';
import type { Publisher } from './archive/publisher.ts';
import { checkHoldings, type HoldingPorts } from './check-holdings.ts';

/** Checks beside serving whether all is there that batches need. Answers how to stop. */
export function checkInBackground(
  ports: HoldingPorts,
  publisher: Pick<Publisher, 'idle'>,
  log: Log,
): () => Promise<void> {
  const stop = new AbortController();
  const checking = check(ports, publisher, stop.signal, log);
  return () => {
    stop.abort(new Error('the head is stopping'));
    return checking;
  };
}

async function check(
  ports: HoldingPorts,
  publisher: Pick<Publisher, 'idle'>,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  try {
    // An input that is gone may be what publishing waits for, and a folder is there only when all is published.
    const published = Promise.race([publisher.idle(), rejectionBy(signal)]);
    await Promise.all([
      checkHoldings(ports, 'inputs', signal),
      published.then(() => checkHoldings(ports, 'folders', signal)),
    ]);
  } catch (error) {
    if (!signal.aborted) log.warn({ error: messageOf(error) }, 'cannot check whether all is there that batches need');
  }
}
