import { settleMs } from './limits.ts';
import type { Batch, ClusterState } from './state.ts';

/** The highest number of an attempt that a job has had, as far as anybody knows; 0: none. The next is above it. */
export function lastNumber(batch: Batch, index: number): number {
  return Math.max(batch.rows.attempts[index] ?? 0, batch.found.get(index) ?? 0);
}

/**
 * Until when no job is given out, because the log has lost its end and nodes have yet to tell what they run; nothing when
 * all have told, or had the time to.
 */
export function settlesUntilMs(state: ClusterState, nowMs: number): number | undefined {
  const { gap } = state;
  if (!gap) return undefined;
  const untilMs = gap.servedAtMs + settleMs;
  if (gap.servedAtMs === 0 || untilMs <= nowMs) return undefined;
  for (const node of state.nodes.values()) if (!node.connected) return untilMs;
  return undefined;
}
