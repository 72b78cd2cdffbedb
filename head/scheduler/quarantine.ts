import { attemptId, type BatchId, type NodeId } from '../../base/ids.ts';
import type { Attempt } from './attempt.ts';
import type { Event, Outcome } from './event.ts';
import { canaryEnoughMs, chanceMax, firstCanaryMs, lastCanaryMs, quickFailureMs, refutedMax } from './limits.ts';
import { recallUnbegun } from './recall.ts';
import type { Batch, ClusterState, Node, Quarantine } from './state.ts';
import { isQuick, noTrial } from './trial.ts';

/** What the end of an attempt means for its node, and for the node on which its job failed before. */
export function judge(state: ClusterState, batch: Batch, attempt: Attempt, outcome: Outcome, nowMs: number): Event[] {
  const node = state.nodes.get(attempt.nodeId);
  if (!node || outcome.state === 'cancelled') return [];
  if (node.quarantine) return judgeCanary(node, node.quarantine, attempt, outcome, batch.id, nowMs);
  if (outcome.state === 'failed') {
    const evidence = isQuick(outcome.ranMs) ? outOfLine(batch, node.id) : undefined;
    return evidence === undefined ? [] : quarantine(state, node, batch.id, evidence, outcome.message, attempt, nowMs);
  }
  const second = batch.secondTries.get(attempt.ref.index);
  const accused = second?.quick && second.nodeId !== node.id ? state.nodes.get(second.nodeId) : undefined;
  if (!accused || accused.quarantine) return [];
  const refuted = (batch.trials.get(accused.id)?.refuted ?? 0) + 1;
  if (refuted < refutedMax) return [];
  const evidence = `${refuted} jobs failed there within ${quickFailureMs / 1000} s, and succeeded elsewhere`;
  const message = batch.rows.messages.get(attempt.ref.index) ?? '';
  return quarantine(state, accused, batch.id, evidence, message, attempt, nowMs);
}

/** Whether a canary has run for so long that what failed the others at once does not fail it. */
export function outlived(state: ClusterState, { quarantine }: Node): number | undefined {
  const canary = quarantine?.canary === undefined ? undefined : state.attempts.get(quarantine.canary);
  return canary?.phase.kind === 'running' ? canary.phase.startedAtMs + canaryEnoughMs : undefined;
}

function judgeCanary(
  { id: nodeId }: Node,
  { canary, canariesFailed, evidence }: Quarantine,
  { ref }: Attempt,
  { state, message }: Outcome,
  batchId: BatchId,
  nowMs: number,
): Event[] {
  if (canary !== attemptId(ref, ref.attempt)) return [];
  if (state === 'succeeded') return [{ kind: 'node-freed', nodeId, reason: 'a job has succeeded there' }];
  const failed = canariesFailed + 1;
  const untilMs = nowMs + Math.min(lastCanaryMs, firstCanaryMs * 2 ** failed);
  return [{ kind: 'node-quarantined', nodeId, untilMs, canariesFailed: failed, evidence, batchId, message }];
}

/** It gets nothing new, and what it has not begun is asked back. */
function quarantine(
  state: ClusterState,
  node: Node,
  batchId: BatchId,
  evidence: string,
  message: string,
  ended: Attempt,
  nowMs: number,
): Event[] {
  const untilMs = nowMs + firstCanaryMs;
  return [
    { kind: 'node-quarantined', nodeId: node.id, untilMs, canariesFailed: 0, evidence, batchId, message },
    ...recallUnbegun(state, node, ended.ref),
  ];
}

/**
 * What speaks against a node where an attempt has just failed quickly, or nothing. A run of failures is out of line when
 * it would come about less often than `chanceMax` if attempts failed there as often as elsewhere. That share is
 * estimated with one success and one failure more than were seen, so that little evidence from elsewhere proves little;
 * where nothing has succeeded, nothing is out of line.
 */
function outOfLine(batch: Batch, nodeId: NodeId): string | undefined {
  const inARow = (batch.trials.get(nodeId) ?? noTrial).quickInARow + 1;
  let [succeeded, failed] = [0, 0];
  for (const [id, trial] of batch.trials) {
    if (id === nodeId) continue;
    succeeded += trial.succeeded;
    failed += trial.failed;
  }
  if (succeeded === 0 || ((failed + 1) / (succeeded + failed + 2)) ** inARow >= chanceMax) return undefined;
  const there = `the last ${inARow} attempts of a batch failed there within ${quickFailureMs / 1000} s each`;
  return `${there}, while ${succeeded} of ${succeeded + failed} succeeded elsewhere`;
}
