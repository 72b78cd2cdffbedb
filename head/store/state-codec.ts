import { assert } from '../../base/assert.ts';
import { attemptId, parseAttemptId } from '../../base/ids.ts';
import type * as disk from '../../proto/gen/labrun/store/v1/snapshot.ts';
import { claimNamespace } from '../scheduler/apply-access.ts';
import { applyExtended, applySubmitted } from '../scheduler/apply-batch.ts';
import { applyConnected } from '../scheduler/apply-node.ts';
import type { Attempt, AttemptPhase } from '../scheduler/attempt.ts';
import { type BatchDraft, batchNameKey, type ClusterDraft, emptyCluster, queueOf } from '../scheduler/draft.ts';
import { type columns, type JobRowsDraft, rowState } from '../scheduler/job-rows.ts';
import type { Quarantine } from '../scheduler/quarantine.ts';
import { type Batch, type ClusterState, type Node, rowStates } from '../scheduler/state.ts';
import { decodeAccess, encodeAccess } from './access-codec.ts';
import { logFormat } from './event-log.ts';
import {
  batchId,
  big,
  clusterId,
  decodeActor,
  decodeFacts,
  decodeQuarantined,
  decodeSubmission,
  encodeFacts,
  encodeQuarantined,
  encodeSubmission,
  endState,
  maybeBig,
  maybeNumber,
  nodeId,
  ref,
} from './value-codec.ts';

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
    draft.gap = { atMs: Number(stored.shortenedAtMs), servedAtMs: Number(stored.shortenedServedAtMs) };
  for (const batch of stored.batches) decodeBatch(draft, batch);
  for (const node of stored.nodes) decodeNode(draft, node);
  for (const failure of stored.buildFailures) {
    const { message, atMs } = failure;
    draft.nodes.get(nodeId(failure.nodeId))?.failedBuilds.set(failure.buildDigest, { message, atMs: Number(atMs) });
  }
  for (const attempt of stored.attempts) decodeAttempt(draft, attempt);
  return draft;
}

function encodeBatch(batch: Batch): disk.SnapshotBatch {
  const [first, ...rest] = batch.parts;
  assert(first, 'a batch has a first submission');
  const extensions = [...batch.extensions];
  return {
    submitted: {
      ...encodeSubmission(first),
      namespace: batch.namespace,
      name: batch.name,
      maxRunning: batch.maxRunning,
      maxFailures: batch.maxFailures,
      origin: batch.origin,
      replaces: '',
    },
    extended: rest.map((part, at) => ({
      ...encodeSubmission(part),
      extensionId: extensions[at] ?? '',
      added: undefined,
      changed: [],
    })),
    submittedBy: batch.submittedBy,
    submittedAtMs: big(batch.submittedAtMs),
    endedAtMs: maybeBig(batch.ended?.atMs),
    endedState: batch.ended?.state ?? '',
    rows: encodeRows(batch),
    held: batch.held,
    tally: { succeeded: batch.tally.succeeded, failed: batch.tally.failed, nodeIds: [...batch.tally.nodes] },
    trials: [...batch.trials].map(([nodeId, trial]) => ({ nodeId, ...trial })),
    exclusions: [...batch.exclusions].map(([index, nodeIds]) => ({ index, nodeIds: [...nodeIds] })),
    secondTries: [...batch.secondTries].map(([index, second]) => ({ index, ...second })),
    found: Object.fromEntries(batch.found),
    deletedAtMs: maybeBig(batch.deleted?.atMs),
    deletedBy: batch.deleted?.by,
    deletedSeq: big(batch.deleted?.seq ?? 0),
  };
}

function encodeRows({ rows }: Batch): disk.SnapshotRows {
  const bytes = (name: keyof typeof columns): Buffer => {
    // The rows of a state are the draft's typed arrays; only their type hides it.
    const column = (rows as JobRowsDraft)[name];
    return Buffer.from(column.buffer, column.byteOffset, column.byteLength);
  };
  return {
    count: rows.count,
    state: bytes('state'),
    attempts: bytes('attempts'),
    node: bytes('node'),
    reason: bytes('reason'),
    exitCode: bytes('exitCode'),
    startedS: bytes('startedS'),
    endedS: bytes('endedS'),
    retriesUsed: bytes('retriesUsed'),
    losses: bytes('losses'),
    part: bytes('part'),
    specIndex: bytes('specIndex'),
    nodeIds: [...rows.nodeIds],
    reasons: [],
    messages: Object.fromEntries(rows.messages),
  };
}

/** Rebuilds a batch through the same writers that made it, then lays the columns over and finds what waits. */
function decodeBatch(draft: ClusterDraft, stored: disk.SnapshotBatch): void {
  const { submitted, rows } = stored;
  assert(submitted && rows, 'a snapshot holds whole batches');
  const id = batchId(submitted.batchId);
  // Snapshots of releases that knew no namespaces: their first submitters own them, as the log would say.
  claimNamespace(draft.access, submitted.namespace, decodeActor(stored.submittedBy));
  const named = draft.batchByName.get(batchNameKey(submitted.namespace, submitted.name));
  applySubmitted(
    draft,
    {
      kind: 'batch-submitted',
      ...decodeSubmission(submitted),
      namespace: submitted.namespace,
      name: submitted.name,
      maxRunning: submitted.maxRunning,
      maxFailures: submitted.maxFailures,
      origin: submitted.origin === 'distribute' ? 'distribute' : 'labrun',
      replaces: undefined,
    },
    decodeActor(stored.submittedBy),
    Number(stored.submittedAtMs),
  );
  // Batch ids are drawn in time order: the newest of a name is the one found under it.
  if (named !== undefined && named > id)
    draft.batchByName.set(batchNameKey(submitted.namespace, submitted.name), named);
  for (const part of stored.extended) {
    applyExtended(draft, {
      kind: 'batch-extended',
      ...decodeSubmission(part),
      extensionId: batchId(part.extensionId),
      added: [],
      changed: [],
    });
  }
  const batch = draft.batches.get(id);
  assert(batch, 'the batch was just made');
  decodeRows(batch, rows);
  batch.held = stored.held;
  const { succeeded = 0, failed = 0, nodeIds = [] } = stored.tally ?? {};
  batch.tally = { succeeded, failed, nodes: new Set(nodeIds.map(nodeId)) };
  for (const { nodeId: id, ...trial } of stored.trials) batch.trials.set(nodeId(id), trial);
  for (const { index, nodeIds: kept } of stored.exclusions) batch.exclusions.set(index, new Set(kept.map(nodeId)));
  for (const { index, nodeId: id, quick } of stored.secondTries)
    batch.secondTries.set(index, { nodeId: nodeId(id), quick });
  batch.found = new Map(Object.entries(stored.found).map(([index, number]) => [Number(index), number]));
  if (stored.deletedAtMs !== undefined)
    batch.deleted = {
      by: decodeActor(stored.deletedBy),
      atMs: Number(stored.deletedAtMs),
      seq: Number(stored.deletedSeq),
    };
  draft.finished.delete(id);
  if (stored.endedAtMs !== undefined)
    batch.ended = { state: endState(stored.endedState), atMs: Number(stored.endedAtMs) };
  else if (batch.rows.counts.queued + batch.rows.counts.held + batch.rows.counts.live === 0) draft.finished.add(id);
}

function decodeRows(batch: BatchDraft, stored: disk.SnapshotRows): void {
  const { rows } = batch;
  rows.count = stored.count;
  rows.state = column(Uint8Array, stored.state);
  rows.attempts = column(Uint32Array, stored.attempts);
  rows.node = column(Uint16Array, stored.node);
  rows.reason = column(Uint8Array, stored.reason);
  rows.exitCode = column(Int16Array, stored.exitCode);
  rows.startedS = column(Uint32Array, stored.startedS);
  rows.endedS = column(Uint32Array, stored.endedS);
  rows.retriesUsed = column(Uint8Array, stored.retriesUsed);
  rows.losses = column(Uint8Array, stored.losses);
  rows.part = column(Uint16Array, stored.part);
  rows.specIndex = column(Uint32Array, stored.specIndex);
  rows.nodeIds = stored.nodeIds.map(nodeId);
  rows.messages = new Map(Object.entries(stored.messages).map(([index, message]) => [Number(index), message]));
  for (const state of rowStates) rows.counts[state] = 0;
  for (let index = 0; index < rows.count; index++) {
    const state = rowStates[rows.state[index] ?? -1];
    assert(state, 'a snapshot holds states this version knows');
    rows.counts[state] += 1;
  }
  // A cursor that runs from a queue's first waiting job to its last finds all of them.
  for (const queue of batch.queues) Object.assign(queue, { cursor: 0, end: 0, queued: 0, returned: [] });
  for (let index = 0; index < rows.count; index++) {
    if (rowState(rows, index) !== 'queued') continue;
    const queue = queueOf(batch, index);
    if (queue.queued === 0) queue.cursor = index;
    queue.end = index + 1;
    queue.queued += 1;
  }
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
    },
    isConnected: node.connected,
    lastSeenAtMs: big(node.sinceMs),
    builds: [],
    quarantine: node.quarantine && {
      quarantined: encodeQuarantined({ nodeId: id, ...node.quarantine }),
      sinceMs: big(node.quarantine.sinceMs),
      canary: node.quarantine.canary ?? '',
    },
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
    },
    Number(stored.lastSeenAtMs),
  );
  const node = draft.nodes.get(nodeId(value.nodeId));
  if (node) draft.nodes.set(node.id, { ...node, connected: stored.isConnected, quarantine: decodeQuarantine(stored) });
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

/** A typed array of its own, aligned, from bytes of a message (all machines labrun knows are little-endian). */
function column<T extends Uint8Array | Uint16Array | Uint32Array | Int16Array>(
  make: new (buffer: ArrayBuffer) => T,
  bytes: Buffer,
): T {
  return new make(Uint8Array.from(bytes).buffer);
}
