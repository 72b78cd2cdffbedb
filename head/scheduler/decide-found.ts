import { attemptId, type NodeId } from '../../base/ids.ts';
import type { AttemptRef } from './attempt.ts';
import type { HeldAttempt } from './command.ts';
import type { Event, NodeFacts } from './event.ts';
import { rowState } from './job-rows.ts';
import { attemptNumberMax, foundAheadMax, gapMemoryMs } from './limits.ts';
import { lastNumber } from './numbers.ts';
import { findQueue } from './queue.ts';
import type { Batch, ClusterState } from './state.ts';

/**
 * What follows from attempts that a node holds and this log never gave. Their numbers are not given again. Where the log
 * is known to have lost its end they go on as what they were, so that no work is done twice, unless the job has another
 * attempt on a node that is here, or has ended. Without such a gap a node's word is not enough to get a job.
 */
export function findAttempts(
  state: ClusterState,
  node: { readonly nodeId: NodeId; readonly facts: NodeFacts },
  held: readonly HeldAttempt[],
  nowMs: number,
): Event[] {
  const events: Event[] = [];
  const seen = new Set<string>();
  // Of several attempts of one job the last counts.
  for (const { attempt, isOver } of [...held].sort((a, b) => b.attempt.attempt - a.attempt.attempt)) {
    const batch = state.batches.get(attempt.batchId);
    if (!batch || attempt.index >= batch.rows.count) continue;
    if (attempt.attempt <= (batch.rows.attempts[attempt.index] ?? 0)) continue;
    const job = `${attempt.batchId}.${attempt.index}`;
    if (seen.has(job)) continue;
    const known = lastNumber(batch, attempt.index);
    if (attempt.attempt > Math.min(known + foundAheadMax, attemptNumberMax)) continue;
    seen.add(job);
    if (attempt.attempt > known) events.push({ kind: 'attempt-found', attempt, nodeId: node.nodeId });
    if (!isOver && isRecent(state, nowMs)) events.push(...adopt(state, batch, attempt, node));
  }
  return events;
}

/** Whether the end of the log is known to be gone, and not so long ago that everybody has told. */
function isRecent({ gap }: ClusterState, nowMs: number): boolean {
  return gap !== undefined && nowMs < gap.atMs + gapMemoryMs;
}

function adopt(
  state: ClusterState,
  batch: Batch,
  attempt: AttemptRef,
  { nodeId, facts }: { readonly nodeId: NodeId; readonly facts: NodeFacts },
): Event[] {
  const { index } = attempt;
  const row = rowState(batch.rows, index);
  const needs = findQueue(batch.queues, batch.rows, index)?.needs;
  const assigned: Event = { kind: 'attempt-assigned', attempt, nodeId, cpus: needs?.cpus || facts.cpus };
  if (row === 'queued') return [assigned];
  if (row === 'held') return [{ kind: 'jobs-released', batchId: batch.id, jobs: [index, 1] }, assigned];
  if (row !== 'live') return [];
  const other = state.attempts.get(attemptId(attempt, batch.rows.attempts[index] ?? 0));
  if (!other || other.cancelling) return [];
  // A hello names everything: what it does not name is not there. One that is away has been given up by then.
  const stands = other.nodeId !== nodeId && state.nodes.get(other.nodeId)?.connected === true;
  return stands ? [] : [assigned];
}
