import { farAhead } from './ahead.ts';
import { lapsesAtMs } from './lease.ts';
import { buildExclusionMs, farAheadMaxMs } from './limits.ts';
import { settlesUntilMs } from './numbers.ts';
import { outlived } from './quarantine.ts';
import type { ClusterState, Node } from './state.ts';

/**
 * When something happens by itself next, on the head's clock: a lease, an exclusion, a rest or a quarantine runs out, or what was given far ahead is asked back. `nowMs` is the
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
    for (const atMs of lapses(state, node)) consider(atMs);
    for (const { sinceMs } of farAhead(state, node))
      if (sinceMs + farAheadMaxMs > nowMs) consider(sinceMs + farAheadMaxMs);
    if (node.restsUntilMs > nowMs) consider(node.restsUntilMs);
    for (const { untilMs } of node.shortages.values()) if (untilMs > nowMs) consider(untilMs);
    if (node.quarantine && node.quarantine.untilMs > nowMs) consider(node.quarantine.untilMs);
    const enoughMs = outlived(state, node);
    if (enoughMs !== undefined) consider(enoughMs);
    for (const failure of node.failedBuilds.values()) consider(failure.atMs + buildExclusionMs);
  }
  return next;
}

/** When each attempt of a silent node that has not lapsed yet is to. */
function* lapses(state: ClusterState, node: Node): Generator<number> {
  if (node.connected) return;
  for (const id of node.attempts) {
    const attempt = state.attempts.get(id);
    if (attempt && attempt.lapsedSinceMs === undefined) yield lapsesAtMs(node, attempt);
  }
}
