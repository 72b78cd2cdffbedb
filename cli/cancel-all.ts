import { call } from '../base/channel/client.ts';
import { readStream } from '../base/channel/streams.ts';
import { systemClock } from '../base/clock.ts';
import { withHead } from './connect.ts';

/** How long cancelled jobs of a private cluster may take to end, in milliseconds. */
const cancelMaxMs = 15_000;

/**
 * Cancels every batch of a head and waits until they have ended: only the agents know every process of a job, also one
 * that hides. After a while it gives up; whoever calls it looks for what is left.
 */
export async function cancelAll(address: string): Promise<void> {
  const tooLong = new AbortController();
  const timer = systemClock.setTimer(cancelMaxMs, () => tooLong.abort(new Error('cancelling took too long')));
  const signal = tooLong.signal;
  try {
    await withHead({ head: address }, async (head) => {
      const about = { metadata: head.metadata, signal };
      const everything = { selector: undefined, all: true, pageToken: '' };
      const { batches } = await call(head.batches, head.batches.list, everything, about);
      for (const { namespace, batchId, endedAtMs } of batches) {
        if (endedAtMs) continue;
        const selector = { namespace, batch: batchId, job: '', states: [], reasons: [], where: [] };
        await call(head.batches, head.batches.cancel, { selector }, about);
        const watch = readStream(head.batches.watch({ selector }, head.metadata), signal);
        while (!(await watch.next()).done); // ends with the batch
      }
    });
  } finally {
    timer.cancel();
  }
}
