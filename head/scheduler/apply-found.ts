import { applyBack, removeAttempt } from './apply-attempt.ts';
import { batchOf, noteIfFinished, reopen } from './apply-batch.ts';
import { type ClusterDraft, queueOf } from './draft.ts';
import type { Event } from './event.ts';
import { rowState, setRowNode, setRowPaused, setRowReason, setRowState } from './job-rows.ts';
import { advance } from './queue.ts';

/**
 * A result of a lost end of the log counts as if it had just been accepted. Of an attempt that was retried the number does,
 * and that it lives no more.
 */
export function applyArchiveFound(
  draft: ClusterDraft,
  event: Extract<Event, { kind: 'archive-found' }>,
  atMs: number,
): void {
  const { attempt: ref, outcome, nodeId } = event;
  const batch = batchOf(draft, ref.batchId);
  const { rows } = batch;
  const before = rowState(rows, ref.index);
  if (event.requeued) {
    noteNumber(batch.found, ref.index, ref.attempt);
    if (before === 'live' && rows.attempts[ref.index] === ref.attempt) applyBack(draft, ref, atMs);
    return;
  }
  if (before === 'live') removeAttempt(draft, { ...ref, attempt: rows.attempts[ref.index] ?? 0 });
  else if (before === 'queued') queueOf(batch, ref.index).queued -= 1;
  setRowState(rows, ref.index, outcome.state);
  rows.attempts[ref.index] = ref.attempt;
  if (nodeId === undefined) rows.node[ref.index] = 0;
  else setRowNode(rows, ref.index, nodeId);
  rows.startedS[ref.index] = Math.floor((event.startedAtMs ?? 0) / 1000);
  rows.endedS[ref.index] = Math.floor(event.endedAtMs / 1000);
  rows.exitCode[ref.index] = outcome.exitCode ?? -1;
  setRowPaused(rows, ref.index, event.pausedMs);
  setRowReason(rows, ref.index, outcome.reason, outcome.state === 'succeeded' ? '' : outcome.message);
  batch.secondTries.delete(ref.index);
  advance(queueOf(batch, ref.index), rows);
  // One that had ended has ended anew, perhaps otherwise.
  reopen(draft, batch);
  noteIfFinished(draft, batch);
}

/** Raises the highest number that is known of a job. */
export function noteNumber(found: Map<number, number>, index: number, attempt: number): void {
  found.set(index, Math.max(attempt, found.get(index) ?? 0));
}
