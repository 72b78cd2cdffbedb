import { refused } from '../../base/errors.ts';
import { attemptId } from '../../base/ids.ts';
import type { Command, Verdict } from './command.ts';
import { current } from './decide-attempt.ts';
import { gaveUp } from './decide-batch.ts';
import type { Event } from './event.ts';
import { indicesIn, rangesOf } from './job-ranges.ts';
import { rowState } from './job-rows.ts';
import { exclusionsMax } from './limits.ts';
import { refuseGone } from './retired.ts';
import type { Batch, ClusterState } from './state.ts';

type Requeue = Extract<Command, { readonly kind: 'requeue' }>;

/**
 * Jobs that have not ended wait again: what runs of them is stopped, and counts for nothing. With a node to keep them
 * from, only what runs there is stopped, and none of them runs there from now on.
 */
export function decideRequeue(state: ClusterState, { batchId, jobs, notOn }: Requeue): Verdict {
  const batch = state.batches.get(batchId);
  if (!batch) return refuseGone(state, 'requeue jobs', batchId);
  if (notOn !== undefined && !state.nodes.has(notOn))
    return refused('not-found', `Cannot keep jobs from node "${notOn}": it is gone`);
  const events: Event[] = [];
  const excluded: number[] = [];
  for (const index of indicesIn(jobs)) {
    if (index >= batch.rows.count) break;
    const row = rowState(batch.rows, index);
    if (row !== 'queued' && row !== 'held' && row !== 'live') continue;
    if (notOn !== undefined && !batch.exclusions.get(index)?.has(notOn)) excluded.push(index);
    if (row === 'live') events.push(...stop(state, batch, index, notOn));
  }
  if (batch.exclusions.size + excluded.filter((index) => !batch.exclusions.has(index)).length > exclusionsMax) {
    return refused(
      'limit',
      `Cannot keep ${excluded.length} jobs of "${batch.namespace}/${batch.name}" from a node: at most ${exclusionsMax} of a batch are; hold the batch, or name fewer`,
    );
  }
  // First, so that no job is placed there again in between.
  if (notOn !== undefined && excluded.length > 0)
    events.unshift({ kind: 'jobs-excluded', batchId, jobs: rangesOf(excluded), nodeId: notOn });
  return { kind: 'accepted', events };
}

/** A node wants to be rid of an attempt: it is told to stop, and its job waits again. Repeatable. */
export function decideWish(state: ClusterState, command: Extract<Command, { readonly kind: 'wish-requeue' }>): Verdict {
  const attempt = current(state, command.nodeId, command.attempt);
  if (attempt.kind === 'refused') return attempt;
  // One whose processes have ended takes nothing of the machine that its result would not.
  if (attempt.cancelling || attempt.phase.kind === 'archiving') return { kind: 'accepted', events: [] };
  const readopted: Event[] =
    attempt.lapsedSinceMs === undefined ? [] : [{ kind: 'attempt-readopted', attempt: attempt.ref }];
  return {
    kind: 'accepted',
    events: [...readopted, { kind: 'attempt-requeued', attempt: attempt.ref, reason: command.reason }],
  };
}

function stop(state: ClusterState, batch: Batch, index: number, notOn: Requeue['notOn']): Event[] {
  const ref = { batchId: batch.id, index, attempt: batch.rows.attempts[index] ?? 0 };
  const attempt = state.attempts.get(attemptId(ref, ref.attempt));
  if (!attempt || attempt.cancelling || (notOn !== undefined && attempt.nodeId !== notOn)) return [];
  const stopped: Event = { kind: 'attempt-requeued', attempt: ref, reason: '' };
  return attempt.lapsedSinceMs === undefined ? [stopped] : [stopped, gaveUp({ ...attempt, requeueing: true })];
}
