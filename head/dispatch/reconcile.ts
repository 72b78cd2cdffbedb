import { assert } from '../../base/assert.ts';
import { type AttemptId, attemptId, type BatchId, type NodeId, parseAttemptId } from '../../base/ids.ts';
import type { AttemptRef } from '../scheduler/attempt.ts';
import { hasEnded } from '../scheduler/decide-attempt.ts';
import { rowState } from '../scheduler/job-rows.ts';
import { lastNumber } from '../scheduler/numbers.ts';
import { findQueue } from '../scheduler/queue.ts';
import type { ClusterState, RowState } from '../scheduler/state.ts';

/** Where an agent says an attempt is. */
export type HeldPhase =
  | 'assigned'
  | 'staging'
  | 'building'
  | 'running'
  | 'paused'
  | 'archiving'
  | 'ended'
  | 'returned'
  | 'wiped'
  | 'lost';

/** What one session knows: what its agent holds, and what it has been told since its hello. */
export interface SessionView {
  readonly held: ReadonlyMap<AttemptId, HeldPhase>;
  readonly told: ReadonlyMap<AttemptId, ReadonlySet<Change['kind']>>;
}

/** What an agent is to be told about one attempt. */
export type Change =
  | {
      readonly kind: 'assign';
      readonly attempt: AttemptRef;
      readonly namespace: string;
      readonly batch: string;
      readonly specHash: string;
      readonly specIndex: number;
      readonly cpus: number;
      readonly memoryBytes: number;
      readonly user: string;
    }
  | { readonly kind: 'recall' | 'cancel' | 'settle' | 'forget' | 'discard'; readonly attempt: AttemptRef };

/** What follows from a comparison. */
export interface Difference {
  readonly changes: readonly Change[];
  /** Attempts that the head believed on the node and that are not there: the head must note that. */
  readonly missing: readonly AttemptRef[];
  /** Attempts that were asked back before the node was told of them: it is not told, and the head must note them as returned. */
  readonly untold: readonly AttemptRef[];
  /** Batches of attempts that the node should not have and may keep for now: what happens to their jobs concerns it. */
  readonly leftAlone: ReadonlySet<BatchId>;
}

/**
 * Compares the attempts a node should have with those it reports. A lost message is healed by the next comparison;
 * there is no special case for it.
 */
export function reconcile(state: ClusterState, nodeId: NodeId, view: SessionView): Difference {
  const changes: Change[] = [];
  const missing: AttemptRef[] = [];
  const untold: AttemptRef[] = [];
  const leftAlone = new Set<BatchId>();
  const node = state.nodes.get(nodeId);
  const say = (change: Change) => {
    const id = attemptId(change.attempt, change.attempt.attempt);
    if (!view.told.get(id)?.has(change.kind)) changes.push(change);
  };
  for (const id of node?.attempts ?? []) {
    const attempt = state.attempts.get(id);
    assert(attempt, 'a node holds live attempts');
    const held = view.held.get(id);
    const known = held !== undefined || view.told.get(id)?.has('assign') === true;
    if (!known && (attempt.phase.kind !== 'assigned' || attempt.cancelling)) missing.push(attempt.ref);
    else if (held === 'wiped') missing.push(attempt.ref);
    else if (!known && attempt.recalled) untold.push(attempt.ref);
    else if (!known) say(assignment(state, id));
    if (known && attempt.cancelling) say({ kind: 'cancel', attempt: attempt.ref });
    if (known && attempt.recalled && attempt.phase.kind === 'assigned') say({ kind: 'recall', attempt: attempt.ref });
  }
  for (const [id, phase] of view.held) {
    if (node?.attempts.has(id)) continue;
    const kind = strayChange(state, id, phase);
    const ref = parseAttemptId(id);
    if (kind && ref) say({ kind, attempt: ref });
    else if (ref) leftAlone.add(ref.batchId);
  }
  return { changes, missing, untold, leftAlone };
}

/** Of builds that a node does not try again by itself, those that may be tried there again as far as the head knows. */
export function forgottenBuilds(state: ClusterState, nodeId: NodeId, failed: ReadonlySet<string>): readonly string[] {
  const known = state.nodes.get(nodeId)?.failedBuilds;
  return [...failed].filter((digest) => !known?.has(digest));
}

/** What becomes of an attempt that its node should not have. What this head knows nothing of is left alone. */
function strayChange(
  state: ClusterState,
  id: AttemptId,
  phase: HeldPhase,
): 'settle' | 'forget' | 'discard' | undefined {
  const ref = parseAttemptId(id);
  const batch = ref && state.batches.get(ref.batchId);
  const isOver = phase === 'wiped' || phase === 'returned' || phase === 'lost';
  // Whatever a node still has of one that was retired, its batch has ended without it or has it in the archive.
  if (ref && state.retired.has(ref.batchId)) return isOver ? 'forget' : 'discard';
  if (!ref || !batch || lastNumber(batch, ref.index) < ref.attempt) return undefined;
  if (isOver) return 'forget';
  // Found after the log has lost its end: what it has is kept for as long as the job has no end without it.
  const isFound = (batch.rows.attempts[ref.index] ?? 0) < ref.attempt;
  if (isFound && openRows.has(rowState(batch.rows, ref.index))) return undefined;
  return phase === 'ended' && hasEnded(batch, ref) ? 'settle' : 'discard';
}

const openRows: ReadonlySet<RowState> = new Set(['queued', 'held', 'live']);

function assignment(state: ClusterState, id: AttemptId): Change {
  const attempt = state.attempts.get(id);
  const batch = attempt && state.batches.get(attempt.ref.batchId);
  const part = batch?.parts[batch.rows.part[attempt?.ref.index ?? 0] ?? -1];
  assert(attempt && batch && part, 'a live attempt has its batch and spec');
  return {
    kind: 'assign',
    attempt: attempt.ref,
    namespace: batch.namespace,
    batch: batch.name,
    specHash: part.specHash,
    specIndex: batch.rows.specIndex[attempt.ref.index] ?? 0,
    cpus: attempt.cpus,
    memoryBytes: findQueue(batch.queues, batch.rows, attempt.ref.index)?.needs.memoryBytes ?? 0,
    user: batch.submittedBy.name,
  };
}
