import { assert } from '../../base/assert.ts';
import type * as disk from '../../proto/gen/labrun/store/v1/snapshot.ts';
import { claimNamespace } from '../scheduler/apply-access.ts';
import { applyExtended, applySubmitted } from '../scheduler/apply-batch.ts';
import { type BatchDraft, batchNameKey, type ClusterDraft, queueOf } from '../scheduler/draft.ts';
import { type columns, type JobRowsDraft, rowState } from '../scheduler/job-rows.ts';
import { type Batch, type ClusterState, type Retired, rowStates } from '../scheduler/state.ts';
import {
  batchId,
  big,
  decodeActor,
  decodeSubmission,
  encodeSubmission,
  endState,
  maybeBig,
  nodeId,
} from './value-codec.ts';

/** A batch as the disk has it. */
export function encodeBatch(batch: Batch): disk.SnapshotBatch {
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
    ...encodeDeleted(batch),
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
    pausedMs: Object.fromEntries([...rows.pausedMs].map(([index, pausedMs]) => [index, big(pausedMs)])),
  };
}

/**
 * Rebuilds a batch through the same writers that made it, then lays the columns over and finds what waits. Batches come in
 * the order in which they were submitted, so that a name finds the last of those that had it.
 */
export function decodeBatch(draft: ClusterDraft, stored: disk.SnapshotBatch): void {
  const { submitted, rows } = stored;
  assert(submitted && rows, 'a snapshot holds whole batches');
  const id = batchId(submitted.batchId);
  // Snapshots of releases that knew no namespaces: their first submitters own them, as the log would say.
  claimNamespace(draft.access, submitted.namespace, decodeActor(stored.submittedBy));
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
  batch.deleted = decodeDeleted(stored);
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
  rows.pausedMs = new Map(
    Object.entries(stored.pausedMs).map(([index, pausedMs]) => [Number(index), Number(pausedMs)]),
  );
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

/** A retired batch as the disk has it. */
export function encodeRetired(state: ClusterState, batch: Retired): disk.SnapshotRetired {
  const { id, namespace, name, ended, counts } = batch;
  return {
    ...{ batchId: id, namespace, name, origin: batch.origin, specHash: batch.specHash },
    isNewest: state.batchByName.get(batchNameKey(namespace, name)) === id,
    submittedBy: batch.submittedBy,
    submittedAtMs: big(batch.submittedAtMs),
    endedState: ended.state,
    endedAtMs: big(ended.atMs),
    retiredAtMs: big(batch.retiredAtMs),
    ...counts,
    ...encodeDeleted(batch),
  };
}

/** Puts a retired batch back. After those that are not, whose names it may have taken. */
export function decodeRetired(draft: ClusterDraft, stored: disk.SnapshotRetired): void {
  const { namespace, name, specHash, succeeded, failed, cancelled } = stored;
  const id = batchId(stored.batchId);
  draft.retired.set(id, {
    ...{ id, namespace, name, specHash, counts: { succeeded, failed, cancelled } },
    origin: stored.origin === 'distribute' ? 'distribute' : 'labrun',
    submittedBy: decodeActor(stored.submittedBy),
    submittedAtMs: Number(stored.submittedAtMs),
    ended: { state: endState(stored.endedState), atMs: Number(stored.endedAtMs) },
    retiredAtMs: Number(stored.retiredAtMs),
    deleted: decodeDeleted(stored),
  });
  if (stored.isNewest) draft.batchByName.set(batchNameKey(namespace, name), id);
}

function encodeDeleted({ deleted }: Pick<Batch, 'deleted'>) {
  return { deletedAtMs: maybeBig(deleted?.atMs), deletedBy: deleted?.by, deletedSeq: big(deleted?.seq ?? 0) };
}

function decodeDeleted(stored: Pick<disk.SnapshotBatch, 'deletedAtMs' | 'deletedBy' | 'deletedSeq'>): Batch['deleted'] {
  if (stored.deletedAtMs === undefined) return undefined;
  const { deletedAtMs, deletedBy, deletedSeq } = stored;
  return { by: decodeActor(deletedBy), atMs: Number(deletedAtMs), seq: Number(deletedSeq) };
}

/** A typed array of its own, aligned, from bytes of a message (all machines labrun knows are little-endian). */
function column<T extends Uint8Array | Uint16Array | Uint32Array | Int16Array>(
  make: new (buffer: ArrayBuffer) => T,
  bytes: Buffer,
): T {
  return new make(Uint8Array.from(bytes).buffer);
}
