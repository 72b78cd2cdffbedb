import { refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import type { Command, Verdict } from './command.ts';
import type { Event } from './event.ts';
import { recallUnbegun } from './recall.ts';
import type { ClusterState } from './state.ts';

type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

/** A node is to get no jobs: what runs there goes on, what has not begun is asked back. Repeatable. */
export function decideDrain(state: ClusterState, { nodeId, reason }: CommandOf<'drain-node'>): Verdict {
  const node = state.nodes.get(nodeId);
  if (!node) return gone('drain', nodeId);
  if (node.drained?.reason === reason) return { kind: 'accepted', events: [] };
  return { kind: 'accepted', events: [{ kind: 'node-drained', nodeId, reason }, ...recallUnbegun(state, node)] };
}

/** A node is to get jobs again, whoever or whatever has kept them from it. Repeatable. */
export function decideUndrain(state: ClusterState, { nodeId }: CommandOf<'undrain-node'>): Verdict {
  const node = state.nodes.get(nodeId);
  if (!node) return gone('undrain', nodeId);
  const events: Event[] = [];
  if (node.drained) events.push({ kind: 'node-undrained', nodeId });
  if (node.quarantine) events.push({ kind: 'node-freed', nodeId, reason: 'somebody said so' });
  return { kind: 'accepted', events };
}

function gone(deed: string, nodeId: NodeId): Verdict {
  return refused('not-found', `Cannot ${deed} node "${nodeId}": it is gone`);
}
