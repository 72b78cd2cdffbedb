import { join } from 'node:path';
import { readStream } from '../base/channel/streams.ts';
import { Fault } from '../base/errors.ts';
import type { BatchSummary, FailureGroup } from '../proto/gen/labrun/v1/batches.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import { again } from './again.ts';
import { type Head, wholeBatch } from './connect.ts';
import { exitCodes } from './exit.ts';
import { counted, type Printer } from './print.ts';
import { startProgress } from './progress.ts';

/** How a wait ended: with the batch's last summary, or without one when it was left by Ctrl-C. */
export interface Watched {
  readonly batch: BatchSummary | undefined;
  readonly code: number;
}

/** How a wait may differ. */
export interface WatchOptions {
  /** Ends it with its reason, in silence: for a caller with signals of its own. */
  readonly stop?: AbortSignal | undefined;
  /** The folder where logs will lie, for who has no head to ask afterwards. */
  readonly logsBelow?: string | undefined;
}

/**
 * Shows a batch's progress until it has ended. A head that goes away is waited for: it may only be restarted. Ctrl-C
 * leaves the batch alone and says how to come back. One that is held because its jobs fail goes on only when somebody
 * looks at it, so that the wait for it ends as for one that has failed.
 */
export async function watchBatch(
  head: Head,
  selector: Selector,
  print: Printer,
  { stop, logsBelow }: WatchOptions = {},
): Promise<Watched> {
  stop?.throwIfAborted();
  const leave = new AbortController();
  const onSignal = () => leave.abort();
  stop?.addEventListener('abort', onSignal, { once: true });
  process.once('SIGINT', onSignal);
  const progress = startProgress(print, 'jobs');
  let last: BatchSummary | undefined;
  const watch = async (heard: () => void) => {
    const stream = head.batches.watch({ selector: wholeBatch(selector) }, head.metadata);
    for await (const batch of readStream(stream, leave.signal)) {
      heard();
      last = batch;
      progress.update(ended(batch), total(batch), sentence(batch));
      if (isStuck(batch)) return batch;
    }
    if (last && (ended(last) === total(last) || isStuck(last))) return last;
    throw new Fault('UNAVAILABLE', 'the head ended the call before the batch had ended');
  };
  try {
    const batch = await again(print, watch, { signal: leave.signal });
    progress.stop();
    print.note(`${batch.namespace}/${batch.name} ${batch.state}: ${sentence(batch)}`);
    for (const group of batch.failures) print.note(failureText(batch, group, logsBelow));
    if (isStuck(batch))
      print.note(logsBelow === undefined ? noticeText(batch) : `${heldText(batch)}: maxFailures says when`);
    return { batch, code: batch.state === 'succeeded' ? exitCodes.done : exitCodes.failed };
  } catch (error) {
    if (!leave.signal.aborted) throw error;
    stop?.throwIfAborted();
    progress.stop();
    const name = last ? `${last.namespace}/${last.name}` : `${selector.namespace || head.user}/${selector.batch}`;
    print.note(`Left; the batch goes on. Come back with: labrun wait ${name}`);
    return { batch: undefined, code: exitCodes.interrupted };
  } finally {
    process.off('SIGINT', onSignal);
    stop?.removeEventListener('abort', onSignal);
    progress.stop();
  }
}

/** A group of failures in one line, with a job to look at. */
export function failureText(batch: BatchSummary, group: FailureGroup, logsBelow?: string): string {
  const see =
    logsBelow === undefined
      ? `labrun logs ${batch.namespace}/${batch.name}/${group.exampleJob}`
      : join(logsBelow, group.exampleJob, '.labrun', 'log');
  return `${counted(group.jobs, 'job')} failed (${group.reason}): ${group.message}  see: ${see}`;
}

/** Why a batch is held by the head, and how it goes on. */
export function noticeText(batch: BatchSummary): string {
  return `${heldText(batch)}; when that is put right: labrun release ${batch.namespace}/${batch.name}`;
}

/** Whether nothing of a batch goes on until somebody has looked at it. */
export function isStuck(batch: BatchSummary): boolean {
  return batch.notice !== '' && batch.state === 'held';
}

function heldText(batch: BatchSummary): string {
  return `${counted(batch.counts['held'] ?? 0, 'job')} held: ${batch.notice}`;
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
