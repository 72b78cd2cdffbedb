import { assert } from '../../base/assert.ts';
import { attemptId, type NodeId } from '../../base/ids.ts';
import { batchOf, noteIfFinished, waitAgain } from './apply-batch.ts';
import { noteCanary, noteShortage } from './apply-node.ts';
import type { Attempt, AttemptPhase, AttemptRef } from './attempt.ts';
import { type BatchDraft, type ClusterDraft, queueOf } from './draft.ts';
import type { Event } from './event.ts';
import { rowState, setRowNode, setRowPaused, setRowReason, setRowState } from './job-rows.ts';
import { advance } from './queue.ts';
import type { Node } from './state.ts';
import { isQuick, noTrial } from './trial.ts';

type EventOf<Kind extends Event['kind']> = Extract<Event, { readonly kind: Kind }>;

/** A job is placed. If an attempt of it has lapsed elsewhere, this is what moves the number. */
export function applyAssigned(draft: ClusterDraft, event: EventOf<'attempt-assigned'>, atMs: number): void {
  const { batchId, index, attempt } = event.attempt;
  const batch = batchOf(draft, batchId);
  const node = draft.nodes.get(event.nodeId);
  assert(node, 'a job is placed on a node that exists');
  if (rowState(batch.rows, index) === 'live') {
    const old = removeAttempt(draft, { batchId, index, attempt: batch.rows.attempts[index] ?? 0 });
    if (old.lapsedSinceMs !== undefined && old.phase.kind !== 'assigned') countLoss(batch, index);
  } else queueOf(batch, index).queued -= 1;
  setRowState(batch.rows, index, 'live');
  batch.rows.attempts[index] = attempt;
  setRowNode(batch.rows, index, event.nodeId);
  batch.rows.startedS[index] = 0;
  batch.rows.pausedMs.delete(index);
  const id = attemptId(event.attempt, attempt);
  node.attempts.add(id);
  draft.attempts.set(id, {
    ref: event.attempt,
    nodeId: event.nodeId,
    cpus: event.cpus,
    phase: { kind: 'assigned' },
    sinceMs: atMs,
    pausedMs: 0,
    recalled: false,
    cancelling: false,
    requeueing: false,
    lapsedSinceMs: undefined,
  });
  advance(queueOf(batch, index), batch.rows);
  noteCanary(draft, event.nodeId, id);
}

/** Puts a changed attempt in the old one's place. */
export function changeAttempt(draft: ClusterDraft, ref: AttemptRef, change: (attempt: Attempt) => Attempt): void {
  const id = attemptId(ref, ref.attempt);
  const attempt = draft.attempts.get(id);
  assert(attempt, 'events name attempts that live');
  const changed = change(attempt);
  draft.attempts.set(id, changed);
  if (changed.phase.kind === 'running' && attempt.phase.kind !== 'running') {
    batchOf(draft, ref.batchId).rows.startedS[ref.index] = Math.floor(changed.phase.startedAtMs / 1000);
  }
}

/** An attempt has come to another phase. */
export function movedTo(attempt: Attempt, phase: AttemptPhase, atMs: number): Attempt {
  const pausedMs = attempt.pausedMs + (attempt.phase.kind === 'paused' ? atMs - attempt.sinceMs : 0);
  return { ...attempt, phase, sinceMs: atMs, pausedMs };
}

/** An attempt was given back unstarted. A node that has run out of something rests before it is asked again. */
export function applyReturned(draft: ClusterDraft, event: EventOf<'attempt-returned'>, atMs: number): void {
  const nodeId = draft.attempts.get(attemptId(event.attempt, event.attempt.attempt))?.nodeId;
  const node = nodeId === undefined ? undefined : draft.nodes.get(nodeId);
  if (node && !isHarmless(draft, node, event)) noteShortage(draft, node.id, event.attempt.batchId, atMs);
  applyBack(draft, event.attempt, atMs);
}

/** Whether a return says nothing against the node: it was asked for, or what led to it already keeps such jobs away. */
function isHarmless(draft: ClusterDraft, node: Node, event: EventOf<'attempt-returned'>): boolean {
  if (event.reason === 'recalled' || event.reason === 'cancelled') return true;
  const { parts, rows } = batchOf(draft, event.attempt.batchId);
  const digest = parts[rows.part[event.attempt.index] ?? -1]?.buildDigest ?? '';
  return event.reason === 'build-failed' && node.failedBuilds.has(digest);
}

/** The attempt lives no more: its job waits again, or is cancelled if that was asked for. */
export function applyBack(draft: ClusterDraft, ref: AttemptRef, atMs: number): void {
  const batch = batchOf(draft, ref.batchId);
  const { cancelling, requeueing } = removeAttempt(draft, ref);
  batch.rows.startedS[ref.index] = 0;
  if (!cancelling || requeueing) return waitAgain(batch, ref.index);
  setRowState(batch.rows, ref.index, 'cancelled');
  batch.secondTries.delete(ref.index);
  batch.rows.endedS[ref.index] = Math.floor(atMs / 1000);
  noteIfFinished(draft, batch);
}

/** An attempt died without a result. */
export function applyLost(draft: ClusterDraft, event: EventOf<'attempt-lost'>, atMs: number): void {
  const { batchId, index } = event.attempt;
  const batch = batchOf(draft, batchId);
  // One that was to stop anyway has lost nothing.
  const requeueing = draft.attempts.get(attemptId(event.attempt, event.attempt.attempt))?.requeueing === true;
  if (!requeueing) countLoss(batch, index);
  if (event.requeued) return applyBack(draft, event.attempt, atMs);
  const { cancelling } = removeAttempt(draft, event.attempt);
  setRowState(batch.rows, index, cancelling ? 'cancelled' : 'failed');
  if (!cancelling) setRowReason(batch.rows, index, 'lost', event.message);
  batch.secondTries.delete(index);
  batch.rows.endedS[index] = Math.floor(atMs / 1000);
  noteIfFinished(draft, batch);
}

function countLoss(batch: BatchDraft, index: number): void {
  batch.rows.losses[index] = Math.min(255, (batch.rows.losses[index] ?? 0) + 1);
}

/** An attempt's archive is accepted: it has ended. */
export function applyArchive(draft: ClusterDraft, event: EventOf<'archive-accepted'>): void {
  const { batchId, index } = event.attempt;
  const batch = batchOf(draft, batchId);
  const { rows } = batch;
  const { nodeId } = removeAttempt(draft, event.attempt);
  if (event.outcome.state !== 'cancelled') draft.nodes.get(nodeId)?.shortages.delete(batchId);
  rows.startedS[index] = Math.floor((event.startedAtMs ?? 0) / 1000);
  rows.endedS[index] = Math.floor(event.endedAtMs / 1000);
  rows.exitCode[index] = event.outcome.exitCode ?? -1;
  setRowPaused(rows, index, event.pausedMs);
  setRowReason(rows, index, event.outcome.reason, event.outcome.state === 'succeeded' ? '' : event.outcome.message);
  noteTrial(batch, nodeId, event);
  noteTally(batch, nodeId, event);
  if (event.requeued === undefined) {
    setRowState(rows, index, event.outcome.state);
    return noteIfFinished(draft, batch);
  }
  if (event.requeued === 'retry') rows.retriesUsed[index] = Math.min(255, (rows.retriesUsed[index] ?? 0) + 1);
  waitAgain(batch, index);
}

/** What an end tells of the batch. */
function noteTally(batch: BatchDraft, nodeId: NodeId, { outcome, requeued }: EventOf<'archive-accepted'>): void {
  const { succeeded, failed, nodes } = batch.tally;
  if (outcome.state === 'succeeded') batch.tally = { succeeded: succeeded + 1, failed, nodes };
  else if (outcome.state === 'failed') {
    const where = nodes.has(nodeId) ? nodes : new Set([...nodes, nodeId]);
    batch.tally = { succeeded, failed: requeued === undefined ? failed + 1 : failed, nodes: where };
  }
}

/** What an end tells of the node, and of the node on which the job failed before. */
function noteTrial(batch: BatchDraft, nodeId: NodeId, event: EventOf<'archive-accepted'>): void {
  const { index } = event.attempt;
  const { state, ranMs } = event.outcome;
  const before = batch.trials.get(nodeId) ?? noTrial;
  const quick = isQuick(ranMs);
  if (state === 'succeeded') {
    batch.trials.set(nodeId, { ...before, succeeded: before.succeeded + 1, quickInARow: 0, refuted: 0 });
    const second = batch.secondTries.get(index);
    const there = second && batch.trials.get(second.nodeId);
    if (there && second.quick && second.nodeId !== nodeId)
      batch.trials.set(second.nodeId, { ...there, refuted: there.refuted + 1 });
  } else if (state === 'failed') {
    batch.trials.set(nodeId, {
      ...before,
      failed: before.failed + 1,
      quickInARow: quick ? before.quickInARow + 1 : 0,
    });
  }
  if (event.requeued === 'elsewhere') batch.secondTries.set(index, { nodeId, quick });
  else if (event.requeued === undefined) batch.secondTries.delete(index);
}

/** An attempt lives no more. Answers what it was. */
export function removeAttempt(draft: ClusterDraft, ref: AttemptRef): Attempt {
  const id = attemptId(ref, ref.attempt);
  const attempt = draft.attempts.get(id);
  assert(attempt, 'events name attempts that live');
  draft.attempts.delete(id);
  const node = draft.nodes.get(attempt.nodeId);
  node?.attempts.delete(id);
  if (node?.quarantine?.canary === id) noteCanary(draft, node.id, undefined);
  return attempt;
}
