import type { Attempt } from './attempt.ts';
import type { Event } from './event.ts';
import { rangesOf } from './job-ranges.ts';
import { firstFailuresMax, holdAboveJobs } from './limits.ts';
import { findQueue, waitingRows } from './queue.ts';
import type { Batch, ClusterState } from './state.ts';
import { hasOther } from './trial.ts';

/**
 * What follows when a job of a batch has failed for good: when enough have, what waits is held, and what nodes have not
 * begun is asked back.
 */
export function holdAfter(state: ClusterState, batch: Batch, failed: Attempt): Event[] {
  const reason = batch.rows.counts.queued > 0 && batch.held === '' ? reasonToHold(state, batch, failed) : undefined;
  if (reason === undefined) return [];
  const waiting = batch.queues.flatMap((queue) => [...waitingRows(queue, batch.rows)]).sort((a, b) => a - b);
  const assigned = [...state.attempts.values()].filter(
    ({ ref, phase, recalled, cancelling }) =>
      ref.batchId === batch.id &&
      ref.index !== failed.ref.index &&
      phase.kind === 'assigned' &&
      !recalled &&
      !cancelling,
  );
  return [
    { kind: 'jobs-held', batchId: batch.id, jobs: rangesOf(waiting), reason },
    ...assigned.map(({ ref }): Event => ({ kind: 'attempt-recalled', attempt: ref })),
  ];
}

/**
 * A batch that says how many of its jobs may fail is held at that number. One of many jobs that says nothing is held
 * when its first to end have all failed, on more than one node if there is more than one.
 */
function reasonToHold(state: ClusterState, batch: Batch, { ref, nodeId }: Attempt): string | undefined {
  const failed = batch.tally.failed + 1;
  if (batch.maxFailures !== undefined) {
    if (batch.maxFailures === 0 || failed < batch.maxFailures) return undefined;
    return `${failed} of its jobs have failed, and maxFailures is ${batch.maxFailures}`;
  }
  if (batch.rows.count <= holdAboveJobs || batch.tally.succeeded > 0 || failed < firstFailuresMax) return undefined;
  const nodes = new Set([...batch.tally.nodes, nodeId]);
  const queue = findQueue(batch.queues, batch.rows, ref.index);
  if (nodes.size < 2 && queue && hasOther(state.nodes.values(), batch, queue, nodeId)) return undefined;
  const names = [...nodes].map((id) => state.nodes.get(id)?.name ?? id).sort();
  return `the first ${failed} of its jobs to end have all failed (on ${names.join(', ')})`;
}
