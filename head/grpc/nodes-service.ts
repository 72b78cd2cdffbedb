import type { Clock } from '../../base/clock.ts';
import type { NodeId } from '../../base/ids.ts';
import type { NodesServer, NodeView } from '../../proto/gen/labrun/v1/nodes.ts';
import type { Who } from '../access.ts';
import type { HeadEngine } from '../ports.ts';
import type { Door } from './door.ts';
import { drain, undrain } from './drain.ts';
import { unary } from './handle.ts';
import { viewNode } from './node-view.ts';

/** What the nodes' door needs. */
export interface NodesPorts {
  readonly engine: Pick<HeadEngine, 'query' | 'submit'>;
  readonly clock: Clock;
  /** How long a connected node has said nothing, in milliseconds; nothing when it is not connected. */
  silentMs(nodeId: NodeId): number | undefined;
}

/** The machines, as the head sees them. */
export function nodesService(ports: NodesPorts, door: Door): NodesServer {
  const { engine } = ports;
  return {
    list: unary(door, 'cluster.read', async (_, { pass }) => ({ nodes: await viewNodes(ports, pass.who) })),
    drain: unary(door, 'node.drain', async (request, facts) => await drain(engine, request, facts)),
    undrain: unary(door, 'node.drain', async (request, facts) => await undrain(engine, request, facts)),
  };
}

async function viewNodes({ engine, clock, silentMs }: NodesPorts, who: Who): Promise<NodeView[]> {
  const nowMs = clock.nowMs();
  return await engine.query((state) =>
    [...state.nodes.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((node) => viewNode(state, node, { who, nowMs, silentMs: silentMs(node.id) })),
  );
}
