import type { DrainView, NodeView, QuarantineView, YieldView } from '../../proto/gen/labrun/v1/nodes.ts';
import { readableBy, type Who } from '../access.ts';
import { coresTaken } from '../scheduler/fit.ts';
import { isAsleep } from '../scheduler/lease.ts';
import { knownBatch } from '../scheduler/retired.ts';
import type { ClusterState, Node, Quarantine } from '../scheduler/state.ts';
import { type Yielding, yieldText } from '../scheduler/yielding.ts';

/** A node that is connected and has been silent for longer is shown as unreachable, in milliseconds. */
const silentMaxMs = 20_000;

/** A machine as people see it. `silentMs`: how long it has said nothing, when it is connected. */
export function viewNode(
  state: ClusterState,
  node: Node,
  { who, nowMs, silentMs }: { readonly who: Who; readonly nowMs: number; readonly silentMs: number | undefined },
): NodeView {
  const { facts, connected, sinceMs } = node;
  const lastHeardMs = nowMs - (silentMs ?? 0);
  const total = {
    cpus: facts.cpus,
    memoryBytes: BigInt(facts.memoryBytes),
    diskBytes: BigInt(facts.diskBytes),
    gpus: facts.gpus,
  };
  // What one that is away did last is of no interest, unless it is why it is away.
  const yielding = connected || isAsleep(node, nowMs) ? node.yielding : undefined;
  return {
    name: node.name,
    nodeId: node.id,
    state: stateOf(node, nowMs, lastHeardMs),
    capabilities: Object.entries(facts.capabilities).map(([name, version]) => ({ name, version })),
    total,
    free: { ...total, cpus: Math.max(0, facts.cpus - coresTaken(state, node)) },
    yielding: yielding === undefined ? '' : stepText(yielding),
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
    freezing: facts.freezing,
    yield: yielding && viewYield(yielding),
    drained: node.drained && viewDrain(node.drained),
  };
}

function stateOf(node: Node, nowMs: number, lastHeardMs: number): string {
  const { connected, quarantine, drained, trouble, sinceMs, leaseMs } = node;
  if (isAsleep(node, nowMs)) return 'asleep';
  if (!connected) return nowMs - sinceMs < leaseMs ? 'unreachable' : 'away';
  if (nowMs - lastHeardMs > silentMaxMs) return 'unreachable';
  if (drained) return 'drained';
  if (quarantine) return 'quarantined';
  return trouble === '' ? 'connected' : 'troubled';
}

/** The yield in one word, as the glossary has it; empty while jobs get all there is. */
function stepText({ step, takesJobs }: Yielding): string {
  if (step !== 'none') return step;
  return takesJobs ? '' : 'drain';
}

function viewYield(yielding: Yielding): YieldView {
  const { step: _step, sinceMs, untilMs, ...told } = yielding;
  return {
    ...told,
    text: yieldText(yielding) ?? '',
    sinceMs: sinceMs === 0 ? undefined : BigInt(Math.floor(sinceMs)),
    untilMs: untilMs === undefined ? undefined : BigInt(Math.floor(untilMs)),
  };
}

function viewDrain({ by, reason, atMs }: NonNullable<Node['drained']>): DrainView {
  return { by: by.name, reason, sinceMs: BigInt(Math.floor(atMs)) };
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
