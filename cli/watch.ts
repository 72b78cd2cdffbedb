import { readStream } from '../base/channel/streams.ts';
import { delay, systemClock } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import type { BatchSummary } from '../proto/gen/labrun/v1/batches.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import { type Head, wholeBatch } from './connect.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import { counted, type Printer } from './print.ts';
import { startProgress } from './progress.ts';

/** How a wait ended: with the batch's last summary, or without one when it was left by Ctrl-C. */
export interface Watched {
  readonly batch: BatchSummary | undefined;
  readonly code: number;
}

/** How long a lost head is looked for before waiting gives up, and the pause between looks, in milliseconds. */
const lostMaxMs = 120_000;
const lookAgainMs = 500;

/**
 * Shows a batch's progress until it has ended. A head that goes away is waited for: it may only be restarted. Ctrl-C
 * leaves the batch alone and says how to come back.
 */
export async function watchBatch(head: Head, selector: Selector, print: Printer): Promise<Watched> {
  const leave = new AbortController();
  const onSignal = () => leave.abort();
  process.once('SIGINT', onSignal);
  const progress = startProgress(print, 'jobs');
  let last: BatchSummary | undefined;
  let lostAtMs: number | undefined;
  try {
    for (;;) {
      try {
        const stream = head.batches.watch({ selector: wholeBatch(selector) }, head.metadata);
        for await (const batch of readStream(stream, leave.signal)) {
          last = batch;
          lostAtMs = undefined;
          progress.update(ended(batch), total(batch), sentence(batch));
        }
        if (last && isOver(last)) break;
        throw new Fault('UNAVAILABLE', 'the head ended the call before the batch had ended');
      } catch (error) {
        if (leave.signal.aborted) break;
        lostAtMs ??= systemClock.monotonicMs();
        const waiting = last !== undefined && exitCodeOf(error) === exitCodes.unreachable;
        if (!waiting || systemClock.monotonicMs() - lostAtMs > lostMaxMs) throw error;
        await delay(systemClock, lookAgainMs, leave.signal).catch(() => undefined); // left meanwhile: seen below
        if (leave.signal.aborted) break;
      }
    }
  } finally {
    process.off('SIGINT', onSignal);
    progress.stop();
  }
  if (leave.signal.aborted || !last) {
    const name = last ? `${last.namespace}/${last.name}` : `${selector.namespace || head.user}/${selector.batch}`;
    print.note(`Left; the batch goes on. Come back with: labrun wait ${name}`);
    return { batch: undefined, code: exitCodes.interrupted };
  }
  print.note(`${last.namespace}/${last.name} ${last.state}: ${sentence(last)}`);
  return { batch: last, code: last.state === 'succeeded' ? exitCodes.done : exitCodes.failed };
}

function isOver(batch: BatchSummary): boolean {
  return ended(batch) === total(batch);
}

function ended({ counts }: BatchSummary): number {
  return (counts['succeeded'] ?? 0) + (counts['failed'] ?? 0) + (counts['cancelled'] ?? 0);
}

function total({ counts }: BatchSummary): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function sentence(batch: BatchSummary): string {
  const parts = Object.entries(batch.counts).filter(([, count]) => count > 0);
  return parts.length === 0 ? counted(0, 'job') : parts.map(([state, count]) => `${count} ${state}`).join(', ');
}
