import type { Attempt } from './attempt.ts';
import { asleepLeaseMs } from './limits.ts';
import type { Node } from './state.ts';

/**
 * When the attempt of a node that has gone silent is open to others, on the head's clock. A machine that said that it
 * goes to sleep keeps its jobs for longer; but one that was to stop need not wait for it to wake.
 */
export function lapsesAtMs(node: Node, { cancelling }: Attempt): number {
  return node.sinceMs + (cancelling ? node.leaseMs : leaseOf(node));
}

/** Whether a node is away because it sleeps, and its jobs are still its own. */
export function isAsleep(node: Node, nowMs: number): boolean {
  return !node.connected && node.yielding?.cause === 'asleep' && nowMs < node.sinceMs + leaseOf(node);
}

function leaseOf({ leaseMs, yielding }: Node): number {
  return yielding?.cause === 'asleep' ? Math.max(leaseMs, asleepLeaseMs) : leaseMs;
}
