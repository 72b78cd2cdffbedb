import { assert } from '../../base/assert.ts';
import { applyAccess, claimNamespace } from './apply-access.ts';
import { applyArchive, applyAssigned, applyLost, applyReturned, changeAttempt, movedTo } from './apply-attempt.ts';
import {
  applyDeleted,
  applyEnded,
  applyExcluded,
  applyExtended,
  applyJobs,
  applyRetired,
  applySubmitted,
  batchOf,
} from './apply-batch.ts';
import { applyArchiveFound, noteNumber } from './apply-found.ts';
import {
  applyConnected,
  applyDisconnected,
  applyNodeFacts,
  drainNode,
  forgetBuild,
  freeNode,
  noteBuild,
  noteBuildFailure,
  noteYield,
  quarantineNode,
  troubleNode,
} from './apply-node.ts';
import type { AttemptPhase } from './attempt.ts';
import type { ClusterDraft } from './draft.ts';
import type { Event, LogRecord } from './event.ts';

/** Makes a record true. The only writer of the state; it has no opinions and reads no clock. */
export function apply(draft: ClusterDraft, record: LogRecord): void {
  assert(record.seq === draft.seq + 1, 'records are applied without gaps');
  draft.seq = record.seq;
  draft.atMs = record.atMs;
  const { event, atMs } = record;
  switch (event.kind) {
    case 'head-started':
      draft.clusterId = event.clusterId;
      draft.epoch = event.epoch;
      // Whoever was connected is so no longer; every lease starts anew, for nobody could return while the head was away.
      for (const node of draft.nodes.values())
        if (node.connected || node.attempts.size > 0) applyDisconnected(draft, node.id, atMs);
      if (draft.gap?.servedAtMs === 0) draft.gap = { ...draft.gap, servedAtMs: atMs };
      return;
    case 'log-shortened':
      draft.gap = { atMs, servedAtMs: event.how === 'accepted' ? atMs : 0, searched: false };
      return;
    case 'batch-submitted':
      claimNamespace(draft.access, event.namespace, record.actor);
      return applySubmitted(draft, event, record.actor, atMs);
    case 'batch-extended':
      return applyExtended(draft, event);
    case 'jobs-held':
    case 'jobs-released':
    case 'jobs-cancelled':
    case 'jobs-retried':
    case 'jobs-failed':
      return applyJobs(draft, event, atMs);
    case 'batch-ended':
      return applyEnded(draft, event.batchId, event.state, atMs);
    case 'node-connected':
      return applyConnected(draft, event, atMs);
    case 'node-disconnected':
      return applyDisconnected(draft, event.nodeId, atMs);
    case 'node-changed':
      return applyNodeFacts(draft, event.nodeId, event.facts);
    case 'attempt-discarded':
    case 'shell-opened':
    case 'shell-closed':
      return; // for people to read: nothing of ours has changed
    case 'attempt-found': {
      const { batchId, index, attempt } = event.attempt;
      return noteNumber(batchOf(draft, batchId).found, index, attempt);
    }
    case 'batch-deleted':
      return applyDeleted(draft, event.batchId, { by: record.actor, atMs, seq: record.seq });
    case 'batch-retired':
      return applyRetired(draft, event.batchId, atMs);
    case 'archive-found':
      return applyArchiveFound(draft, event, atMs);
    case 'archive-searched':
      if (draft.gap) draft.gap = { ...draft.gap, searched: true };
      return;
    case 'node-quarantined':
      return quarantineNode(draft, event, atMs);
    case 'node-freed':
      return freeNode(draft, event.nodeId);
    case 'node-yielded':
      return noteYield(draft, event.nodeId, event.yielding);
    case 'node-drained':
      return drainNode(draft, event.nodeId, { by: record.actor, reason: event.reason, atMs });
    case 'node-undrained':
      return drainNode(draft, event.nodeId, undefined);
    case 'node-troubled':
      return troubleNode(draft, event.nodeId, event.trouble);
    case 'attempt-assigned':
      return applyAssigned(draft, event, atMs);
    case 'attempt-recalled':
      return changeAttempt(draft, event.attempt, (attempt) => ({ ...attempt, recalled: true }));
    case 'attempt-returned':
      return applyReturned(draft, event, atMs);
    case 'attempt-progressed':
      return changeAttempt(draft, event.attempt, (attempt) => ({
        ...movedTo(attempt, phaseOf(event, atMs), atMs),
        recalled: false,
      }));
    case 'attempt-resumed':
      return changeAttempt(draft, event.attempt, (attempt) => {
        const { phase } = attempt;
        return movedTo(attempt, phase.kind === 'paused' ? { ...phase, kind: 'running' } : phase, atMs);
      });
    case 'attempt-cancelling':
      return changeAttempt(draft, event.attempt, (attempt) => ({ ...attempt, cancelling: true, requeueing: false }));
    case 'attempt-requeued':
      return changeAttempt(draft, event.attempt, (attempt) => ({ ...attempt, cancelling: true, requeueing: true }));
    case 'jobs-excluded':
      return applyExcluded(draft, event);
    case 'attempt-lapsed':
      return changeAttempt(draft, event.attempt, (attempt) => ({ ...attempt, lapsedSinceMs: atMs }));
    case 'attempt-readopted':
      return changeAttempt(draft, event.attempt, (attempt) => ({ ...attempt, lapsedSinceMs: undefined }));
    case 'attempt-lost':
      return applyLost(draft, event, atMs);
    case 'archive-accepted':
      return applyArchive(draft, event);
    case 'build-ready':
      return noteBuild(draft, event.nodeId, event.digest);
    case 'build-failed':
      return noteBuildFailure(draft, event.nodeId, event.digest, event.message, atMs);
    case 'build-forgotten':
      return forgetBuild(draft, event.nodeId, event.digest);
    default:
      return applyAccess(draft, event, record.actor, atMs);
  }
}

function phaseOf(
  { phase: kind, startedAtMs }: Extract<Event, { kind: 'attempt-progressed' }>,
  atMs: number,
): AttemptPhase {
  if (kind === 'running' || kind === 'paused') return { kind, startedAtMs: startedAtMs ?? atMs };
  return kind === 'archiving' ? { kind, startedAtMs } : { kind };
}
