import { buildExclusionMs } from './limits.ts';
import { settlesUntilMs } from './numbers.ts';
import { outlived } from './quarantine.ts';
import type { ClusterState, Node } from './state.ts';

/**
 * When something happens by itself next, on the head's clock: a lease, an exclusion, a rest or a quarantine runs out. `nowMs` is the
 * moment of the last turn: what a rest kept back before it has been looked at.
 */
export function nextDeadlineMs(state: ClusterState, nowMs: number): number | undefined {
  let next: number | undefined;
  const consider = (atMs: number) => {
    if (next === undefined || atMs < next) next = atMs;
  };
  const settledMs = settlesUntilMs(state, nowMs);
  if (settledMs !== undefined) consider(settledMs);
  for (const node of state.nodes.values()) {
    if (!node.connected && hasUnlapsed(state, node)) consider(node.sinceMs + node.leaseMs);
    if (node.restsUntilMs > nowMs) consider(node.restsUntilMs);
    if (node.quarantine && node.quarantine.untilMs > nowMs) consider(node.quarantine.untilMs);
    const enoughMs = outlived(state, node);
    if (enoughMs !== undefined) consider(enoughMs);
    for (const failure of node.failedBuilds.values()) consider(failure.atMs + buildExclusionMs);
  }
  return next;
}

/** Whether a node holds an attempt that has not lapsed yet. */
function hasUnlapsed(state: ClusterState, node: Node): boolean {
  for (const id of node.attempts) if (state.attempts.get(id)?.lapsedSinceMs === undefined) return true;
  return false;
}
