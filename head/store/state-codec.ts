import { assert } from '../../base/assert.ts';
import { attemptId, parseAttemptId } from '../../base/ids.ts';
import type * as disk from '../../proto/gen/labrun/store/v1/snapshot.ts';
import { applyConnected } from '../scheduler/apply-node.ts';
import type { Attempt, AttemptPhase } from '../scheduler/attempt.ts';
import { type ClusterDraft, emptyCluster } from '../scheduler/draft.ts';
import { leaseMs } from '../scheduler/limits.ts';
import type { ClusterState, Node, Quarantine } from '../scheduler/state.ts';
import { decodeAccess, encodeAccess } from './access-codec.ts';
import { decodeBatch, decodeRetired, encodeBatch, encodeRetired } from './batch-codec.ts';
import { logFormat } from './event-log.ts';
import {
  big,
  clusterId,
  decodeActor,
  decodeFacts,
  decodeQuarantined,
  encodeFacts,
  encodeQuarantined,
  maybeBig,
  maybeNumber,
  nodeId,
  ref,
} from './value-codec.ts';
import { decodeYielding, encodeYielding } from './yield-codec.ts';

/** The state as the disk has it. */
export function encodeState(state: ClusterState, chain: Buffer): disk.Snapshot {
  return {
    format: logFormat,
    seq: BigInt(state.seq),
    chainHash: chain,
    atMs: big(state.atMs),
    clusterId: state.clusterId ?? '',
    epoch: BigInt(state.epoch),
    batches: [...state.batches.values()].map(encodeBatch),
    nodes: [...state.nodes.values()].map(encodeNode),
    attempts: [...state.attempts.values()].map(encodeAttempt),
    buildFailures: [...state.nodes.values()].flatMap((node) =>
      [...node.failedBuilds].map(([buildDigest, { message, atMs }]) => ({
        nodeId: node.id,
        buildDigest,
        message,
        atMs: big(atMs),
      })),
    ),
    access: encodeAccess(state.access),
    shortenedAtMs: big(state.gap?.atMs ?? 0),
    shortenedServedAtMs: big(state.gap?.servedAtMs ?? 0),
    shortenedSearched: state.gap?.searched ?? false,
    retired: [...state.retired.values()].map((batch) => encodeRetired(state, batch)),
  };
}

/** The state from the disk. */
export function decodeState(stored: disk.Snapshot): ClusterDraft {
  const draft = emptyCluster();
  draft.seq = Number(stored.seq);
  draft.atMs = Number(stored.atMs);
  draft.epoch = Number(stored.epoch);
  draft.clusterId = stored.clusterId === '' ? undefined : clusterId(stored.clusterId);
  draft.access = decodeAccess(stored.access);
  if (stored.shortenedAtMs > 0n)
    draft.gap = {
      atMs: Number(stored.shortenedAtMs),
      servedAtMs: Number(stored.shortenedServedAtMs),
      searched: stored.shortenedSearched,
    };
  for (const batch of stored.batches) decodeBatch(draft, batch);
  for (const batch of stored.retired) decodeRetired(draft, batch);
  for (const node of stored.nodes) decodeNode(draft, node);
  for (const failure of stored.buildFailures) {
    const { message, atMs } = failure;
    draft.nodes.get(nodeId(failure.nodeId))?.failedBuilds.set(failure.buildDigest, { message, atMs: Number(atMs) });
  }
  for (const attempt of stored.attempts) decodeAttempt(draft, attempt);
  return draft;
}

function encodeNode(node: Node): disk.SnapshotNode {
  const { id, name, version, bootId } = node;
  return {
    connected: {
      nodeId: id,
      name,
      version,
      bootId,
      features: [...node.features],
      facts: encodeFacts(node.facts),
      builds: [...node.builds],
      leaseMs: big(node.leaseMs),
    },
    isConnected: node.connected,
    lastSeenAtMs: big(node.sinceMs),
    builds: [],
    yielding: node.yielding && encodeYielding(node.yielding),
    drained: node.drained && { by: node.drained.by, reason: node.drained.reason, atMs: big(node.drained.atMs) },
    quarantine: node.quarantine && {
      quarantined: encodeQuarantined({ nodeId: id, ...node.quarantine }),
      sinceMs: big(node.quarantine.sinceMs),
      canary: node.quarantine.canary ?? '',
    },
    trouble: node.trouble,
  };
}

function decodeNode(draft: ClusterDraft, stored: disk.SnapshotNode): void {
  const { connected: value } = stored;
  assert(value, 'a snapshot holds whole nodes');
  applyConnected(
    draft,
    {
      kind: 'node-connected',
      nodeId: nodeId(value.nodeId),
      name: value.name,
      version: value.version,
      features: value.features,
      bootId: value.bootId,
      facts: decodeFacts(value.facts),
      builds: value.builds,
      leaseMs: Number(value.leaseMs ?? leaseMs),
    },
    Number(stored.lastSeenAtMs),
  );
  const node = draft.nodes.get(nodeId(value.nodeId));
  if (!node) return;
  draft.nodes.set(node.id, {
    ...node,
    connected: stored.isConnected,
    quarantine: decodeQuarantine(stored),
    yielding: stored.yielding && decodeYielding(stored.yielding),
    drained: decodeDrain(stored),
    trouble: stored.trouble,
  });
}

function decodeDrain({ drained }: disk.SnapshotNode): Node['drained'] {
  return drained && { by: decodeActor(drained.by), reason: drained.reason, atMs: Number(drained.atMs) };
}

function decodeQuarantine({ quarantine }: disk.SnapshotNode): Quarantine | undefined {
  if (!quarantine?.quarantined) return undefined;
  const { nodeId: _node, ...told } = decodeQuarantined(quarantine.quarantined);
  const canary = parseAttemptId(quarantine.canary);
  return {
    ...told,
    sinceMs: Number(quarantine.sinceMs),
    canary: canary && attemptId(canary, canary.attempt),
  };
}

function encodeAttempt(attempt: Attempt): disk.SnapshotAttempt {
  return {
    attempt: attempt.ref,
    nodeId: attempt.nodeId,
    cpus: attempt.cpus,
    phase: attempt.phase.kind,
    sinceMs: big(attempt.sinceMs),
    startedAtMs: 'startedAtMs' in attempt.phase ? maybeBig(attempt.phase.startedAtMs) : undefined,
    recalled: attempt.recalled,
    cancelling: attempt.cancelling,
    requeueing: attempt.requeueing,
    pausedMs: big(attempt.pausedMs),
    lapsedSinceMs: maybeBig(attempt.lapsedSinceMs),
  };
}

function decodeAttempt(draft: ClusterDraft, stored: disk.SnapshotAttempt): void {
  const name = ref(stored.attempt);
  const id = attemptId(name, name.attempt);
  const sinceMs = Number(stored.sinceMs);
  draft.attempts.set(id, {
    ref: name,
    nodeId: nodeId(stored.nodeId),
    cpus: stored.cpus,
    phase: decodePhase(stored),
    sinceMs,
    recalled: stored.recalled,
    cancelling: stored.cancelling,
    requeueing: stored.requeueing,
    pausedMs: Number(stored.pausedMs),
    lapsedSinceMs: maybeNumber(stored.lapsedSinceMs),
  });
  draft.nodes.get(nodeId(stored.nodeId))?.attempts.add(id);
}

function decodePhase(stored: disk.SnapshotAttempt): AttemptPhase {
  const startedAtMs = maybeNumber(stored.startedAtMs);
  switch (stored.phase) {
    case 'running':
    case 'paused':
      return { kind: stored.phase, startedAtMs: startedAtMs ?? Number(stored.sinceMs) };
    case 'archiving':
      return { kind: 'archiving', startedAtMs };
    case 'staging':
    case 'building':
      return { kind: stored.phase };
    default:
      return { kind: 'assigned' };
  }
}
