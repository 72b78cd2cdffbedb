import type { Clock } from '../../base/clock.ts';
import type { NodeId } from '../../base/ids.ts';
import type { NodesServer, NodeView, QuarantineView } from '../../proto/gen/labrun/v1/nodes.ts';
import { readableBy, type Who } from '../access.ts';
import type { HeadEngine } from '../ports.ts';
import { coresTaken } from '../scheduler/fit.ts';
import type { Quarantine } from '../scheduler/quarantine.ts';
import { knownBatch } from '../scheduler/retired.ts';
import type { ClusterState, Node } from '../scheduler/state.ts';
import type { Door } from './door.ts';
import { unary } from './handle.ts';

/** What the nodes' door needs. */
export interface NodesPorts {
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly clock: Clock;
  /** How long a connected node has said nothing, in milliseconds; nothing when it is not connected. */
  silentMs(nodeId: NodeId): number | undefined;
}

/** A node that is connected and has been silent for longer is shown as unreachable, in milliseconds. */
const silentMaxMs = 20_000;

/** The machines, as the head sees them. */
export function nodesService(ports: NodesPorts, door: Door): NodesServer {
  return { list: unary(door, 'cluster.read', async (_, { pass }) => ({ nodes: await viewNodes(ports, pass.who) })) };
}

async function viewNodes({ engine, clock, silentMs }: NodesPorts, who: Who): Promise<NodeView[]> {
  const nowMs = clock.nowMs();
  return await engine.query((state) =>
    [...state.nodes.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((node): NodeView => {
        const { facts, connected, sinceMs } = node;
        const lastHeardMs = nowMs - (silentMs(node.id) ?? 0);
        const total = {
          cpus: facts.cpus,
          memoryBytes: BigInt(facts.memoryBytes),
          diskBytes: BigInt(facts.diskBytes),
          gpus: facts.gpus,
        };
        return {
          name: node.name,
          nodeId: node.id,
          state: stateOf(node, nowMs, lastHeardMs),
          capabilities: Object.entries(facts.capabilities).map(([name, version]) => ({ name, version })),
          total,
          free: { ...total, cpus: Math.max(0, facts.cpus - coresTaken(state, node)) },
          yielding: '',
          running: node.attempts.size,
          version: node.version,
          tracking: facts.tracking,
          jobsAccount: facts.jobsAccount,
          agentIsRoot: facts.agentIsRoot,
          // What strict isolation needs is what the scheduler asks for, too.
          isolation: facts.capabilities['bubblewrap'] === undefined ? 'none' : 'strict',
          lastSeenAtMs: BigInt(Math.floor(connected ? lastHeardMs : sinceMs)),
          trouble: node.trouble,
          quarantine: node.quarantine && viewQuarantine(state, node.quarantine, who),
        };
      }),
  );
}

function stateOf(
  { connected, quarantine, trouble, sinceMs, leaseMs }: Node,
  nowMs: number,
  lastHeardMs: number,
): string {
  if (!connected) return nowMs - sinceMs < leaseMs ? 'unreachable' : 'away';
  if (nowMs - lastHeardMs > silentMaxMs) return 'unreachable';
  if (quarantine) return 'quarantined';
  return trouble === '' ? 'connected' : 'troubled';
}

/** Every user sees the nodes; what a batch told is for those who may read it. */
function viewQuarantine(state: ClusterState, told: Quarantine, who: Who): QuarantineView {
  const { evidence, sinceMs, untilMs, canary, canariesFailed, message } = told;
  const batch = knownBatch(state, told.batchId);
  const mayRead = batch !== undefined && readableBy(state.access, who)(batch.namespace);
  return {
    evidence,
    sinceMs: BigInt(sinceMs),
    triedAgainAtMs: canary === undefined ? BigInt(untilMs) : undefined,
    canariesFailed,
    batch: mayRead ? `${batch.namespace}/${batch.name}` : '',
    message: mayRead ? message : '',
  };
}
