import { attemptId, type BatchId, type NodeId } from '../../base/ids.ts';
import { coresFor, keptFree, suits } from './fit.ts';
import { rowState } from './job-rows.ts';
import { quickFailureMs } from './limits.ts';
import type { Batch, ClusterState, Node, Queue, Trial } from './state.ts';

/** Before anything has ended there. */
export const noTrial: Trial = { succeeded: 0, failed: 0, quickInARow: 0, refuted: 0 };

/** Whether a failure came so soon that the machine may be at fault. */
export function isQuick(ranMs: number): boolean {
  return ranMs < quickFailureMs;
}

/** Whether an attempt of the batch has succeeded there. */
export function isProven(batch: Batch, nodeId: NodeId): boolean {
  return (batch.trials.get(nodeId)?.succeeded ?? 0) > 0;
}

/** Why a node gets none of a batch's jobs for now, since it has given them back more than once; nothing when it may. */
export function shortage({ shortages }: Node, batchId: BatchId, nowMs: number): string | undefined {
  const { times, untilMs } = shortages.get(batchId) ?? { times: 0, untilMs: 0 };
  // The first time it rests altogether.
  if (times <= 1 || untilMs <= nowMs) return undefined;
  return `gave jobs of its batch back ${times} times for lack of something, and is asked again in ${Math.ceil((untilMs - nowMs) / 1000)} s`;
}

/** Whether another node than `not` is here, trusted and taking jobs, that could ever run the queue's jobs, or the one at `index`. */
export function hasOther(nodes: Iterable<Node>, batch: Batch, queue: Queue, not: NodeId, index?: number): boolean {
  const part = batch.parts[queue.part];
  if (!part) return false;
  const excluded = index === undefined ? undefined : batch.exclusions.get(index);
  for (const node of nodes)
    if (
      node.id !== not &&
      node.connected &&
      !node.quarantine &&
      keptFree(node) === undefined &&
      (node.shortages.get(batch.id)?.times ?? 0) <= 1 &&
      !excluded?.has(node.id) &&
      suits(part, queue.needs, node).kind === 'fits'
    )
      return true;
  return false;
}

/** Attempts of each batch on each node. */
export type LiveByNode = ReadonlyMap<BatchId, ReadonlyMap<NodeId, number>>;

/** One job, or any of a queue, and what of its batch is on trial on a node. */
export interface OnTrial {
  readonly index: number | undefined;
  /** Attempts there, those included that are about to be placed. */
  readonly onTrial: number;
  /** Jobs that failed there and are being tried elsewhere. */
  readonly elsewhere: number;
}

/**
 * Why a node gets none of a batch's jobs now, by how its jobs have fared there; nothing when it may. A job that failed
 * there is tried elsewhere first. Before its first success in the batch a node gets few: those it can run at once and
 * one more.
 */
export function heldBack(
  state: ClusterState,
  batch: Batch,
  queue: Queue,
  node: Node,
  { index, onTrial, elsewhere }: OnTrial,
): string | undefined {
  if (index !== undefined && batch.exclusions.get(index)?.has(node.id)) return 'is kept from it by a requeue';
  const second = index === undefined ? undefined : batch.secondTries.get(index);
  if (second) {
    const isAvoided = second.nodeId === node.id && hasOther(state.nodes.values(), batch, queue, node.id, index);
    return isAvoided ? 'saw it fail, and it is tried elsewhere' : undefined;
  }
  // A quarantined node gets one job at a time anyway.
  if (isProven(batch, node.id) || node.quarantine) return undefined;
  // Where there is no elsewhere, nobody else tells.
  const judged = elsewhere > 0 && hasOther(state.nodes.values(), batch, queue, node.id) ? elsewhere : 0;
  if (onTrial + judged < firstAttemptsMax(queue, node)) return undefined;
  return `has ${onTrial + judged} jobs of its batch on trial, and none has succeeded yet`;
}

/** How many attempts of a batch may be outstanding on a node before the first success there. */
function firstAttemptsMax(queue: Queue, node: Node): number {
  return Math.max(1, Math.floor(node.facts.cpus / Math.max(1, coresFor(queue.needs, node)))) + 1;
}

/** How many attempts of each batch live on each node. */
export function liveByNode(state: ClusterState): LiveByNode {
  const live = new Map<BatchId, Map<NodeId, number>>();
  for (const { ref, nodeId } of state.attempts.values()) {
    const nodes = live.get(ref.batchId) ?? new Map<NodeId, number>();
    nodes.set(nodeId, (nodes.get(nodeId) ?? 0) + 1);
    live.set(ref.batchId, nodes);
  }
  return live;
}

/**
 * For each node, how many jobs of a batch failed there and have not ended elsewhere since. They are on trial there still:
 * without them a broken machine would fail every job of a batch once while the good ones are still at their first.
 */
export function triedElsewhere(state: ClusterState, batch: Batch): ReadonlyMap<NodeId, number> {
  const away = new Map<NodeId, number>();
  for (const [index, { nodeId }] of batch.secondTries) {
    if (rowState(batch.rows, index) === 'held') continue;
    const live = state.attempts.get(attemptId({ batchId: batch.id, index }, batch.rows.attempts[index] ?? 0));
    if (live?.nodeId !== nodeId) away.set(nodeId, (away.get(nodeId) ?? 0) + 1);
  }
  return away;
}
