import { assert } from '../../base/assert.ts';
import type { BatchId } from '../../base/ids.ts';
import type { Actor } from './actor.ts';
import { type BatchDraft, batchNameKey, type ClusterDraft, queueOf } from './draft.ts';
import type { EndState, Event, Submission } from './event.ts';
import { countIn, indicesIn, type JobRanges } from './job-ranges.ts';
import { addRows, emptyRows, rowState, setRowReason, setRowState } from './job-rows.ts';
import { advance, giveBack } from './queue.ts';
import { summaryOf } from './retired.ts';
import type { Batch, Tally } from './state.ts';

type EventOf<Kind extends Event['kind']> = Extract<Event, { readonly kind: Kind }>;

const noTally: Tally = { succeeded: 0, failed: 0, nodes: new Set() };

/** A new batch: its rows and queues. A matrix of 100,000 jobs is a few typed arrays. */
export function applySubmitted(draft: ClusterDraft, event: EventOf<'batch-submitted'>, by: Actor, atMs: number): void {
  const batch: BatchDraft = {
    id: event.batchId,
    namespace: event.namespace,
    name: event.name,
    submittedBy: by,
    submittedAtMs: atMs,
    maxRunning: event.maxRunning,
    maxFailures: event.maxFailures,
    origin: event.origin,
    parts: [],
    rows: emptyRows(),
    queues: [],
    extensions: new Set(),
    ended: undefined,
    held: '',
    tally: noTally,
    trials: new Map(),
    secondTries: new Map(),
    exclusions: new Map(),
    found: new Map(),
    deleted: undefined,
  };
  draft.batches.set(batch.id, batch);
  draft.batchByName.set(batchNameKey(event.namespace, event.name), batch.id);
  const all = event.groups.reduce((sum, group) => sum + group.count, 0);
  addPart(batch, event, [0, all]);
}

/** New jobs behind the last, and jobs that run again with a new spec. */
export function applyExtended(draft: ClusterDraft, event: EventOf<'batch-extended'>): void {
  const batch = batchOf(draft, event.batchId);
  const part = addPart(batch, event, event.added);
  batch.extensions.add(event.extensionId);
  countAnew(batch);
  for (const [index, specIndex] of event.changed) {
    if (rowState(batch.rows, index) === 'queued') queueOf(batch, index).queued -= 1;
    setRowState(batch.rows, index, 'queued');
    clearEnd(batch, index);
    batch.rows.part[index] = part;
    batch.rows.specIndex[index] = specIndex;
  }
  requeue(
    batch,
    event.changed.map(([index]) => index).sort((a, b) => a - b),
  );
  reopen(draft, batch);
}

/** A change to many jobs that have no live attempt. */
export function applyJobs(
  draft: ClusterDraft,
  event: EventOf<'jobs-held' | 'jobs-released' | 'jobs-cancelled' | 'jobs-retried' | 'jobs-failed'>,
  atMs: number,
): void {
  const batch = batchOf(draft, event.batchId);
  if (event.kind === 'jobs-held') batch.held = event.reason || batch.held;
  else if (event.kind === 'jobs-released' || event.kind === 'jobs-retried') countAnew(batch);
  const back: number[] = [];
  for (const index of indicesIn(event.jobs)) {
    if (rowState(batch.rows, index) === 'queued') queueOf(batch, index).queued -= 1;
    if (event.kind === 'jobs-held') setRowState(batch.rows, index, 'held');
    else if (event.kind === 'jobs-cancelled' || event.kind === 'jobs-failed') {
      setRowState(batch.rows, index, event.kind === 'jobs-failed' ? 'failed' : 'cancelled');
      batch.rows.endedS[index] = Math.floor(atMs / 1000);
      batch.secondTries.delete(index);
      if (event.kind === 'jobs-failed') setRowReason(batch.rows, index, event.reason, event.message);
    } else {
      setRowState(batch.rows, index, 'queued');
      if (event.kind === 'jobs-retried') clearEnd(batch, index);
      back.push(index);
    }
  }
  requeue(batch, back);
  for (const queue of batch.queues) advance(queue, batch.rows);
  if (back.length > 0) reopen(draft, batch);
  noteIfFinished(draft, batch);
}

/** Jobs that are kept from a node, for as long as the batch is known. */
export function applyExcluded(draft: ClusterDraft, event: EventOf<'jobs-excluded'>): void {
  const { exclusions } = batchOf(draft, event.batchId);
  for (const index of indicesIn(event.jobs))
    exclusions.set(index, new Set([...(exclusions.get(index) ?? []), event.nodeId]));
}

/** The batch's end, as an outcome. */
export function applyEnded(draft: ClusterDraft, batchId: BatchId, state: EndState, atMs: number): void {
  const batch = batchOf(draft, batchId);
  batch.ended = { state, atMs };
  batch.trials.clear();
  for (const node of draft.nodes.values()) node.shortages.delete(batchId);
  countAnew(batch);
  draft.finished.delete(batchId);
}

/** A job waits again: for a node, or, in a batch that is held, for somebody who lets it go on. */
export function waitAgain(batch: BatchDraft, index: number): void {
  setRowState(batch.rows, index, batch.held === '' ? 'queued' : 'held');
  if (batch.held === '') requeue(batch, [index]);
}

/** Lets waiting rows be found again; `ascending` have just become `queued`. */
function requeue(batch: BatchDraft, ascending: readonly number[]): void {
  const byQueue = new Map<ReturnType<typeof queueOf>, number[]>();
  for (const index of ascending) {
    const queue = queueOf(batch, index);
    queue.queued += 1;
    const list = byQueue.get(queue);
    if (list) list.push(index);
    else byQueue.set(queue, [index]);
  }
  for (const [queue, indices] of byQueue) giveBack(queue, indices);
}

/** Notes a batch in which nothing waits or lives any more. */
export function noteIfFinished(draft: ClusterDraft, batch: BatchDraft): void {
  const { queued, held, live } = batch.rows.counts;
  if (queued + held + live === 0 && batch.ended === undefined) draft.finished.add(batch.id);
}

/** Who has deleted its results, and when. */
export function applyDeleted(draft: ClusterDraft, batchId: BatchId, deleted: NonNullable<Batch['deleted']>): void {
  const retired = draft.retired.get(batchId);
  if (retired) draft.retired.set(batchId, { ...retired, deleted });
  else batchOf(draft, batchId).deleted = deleted;
}

/** Its jobs are in the archive alone; its name still finds it. */
export function applyRetired(draft: ClusterDraft, batchId: BatchId, atMs: number): void {
  const batch = batchOf(draft, batchId);
  assert(batch.ended, 'a batch that is retired has ended');
  draft.batches.delete(batchId);
  draft.retired.set(batchId, summaryOf(batch, batch.ended, atMs));
}

/** The batch, which must be there. */
export function batchOf(draft: ClusterDraft, batchId: BatchId): BatchDraft {
  const batch = draft.batches.get(batchId);
  assert(batch, 'events name batches that exist');
  return batch;
}

/** A batch that had ended goes on. */
export function reopen(draft: ClusterDraft, batch: BatchDraft): void {
  batch.ended = undefined;
  draft.finished.delete(batch.id);
}

/** Somebody has looked: what has failed before speaks against the batch no longer. */
function countAnew(batch: BatchDraft): void {
  batch.held = '';
  batch.tally = noTally;
}

function clearEnd(batch: BatchDraft, index: number): void {
  batch.rows.startedS[index] = 0;
  batch.rows.endedS[index] = 0;
  batch.rows.exitCode[index] = -1;
  batch.rows.retriesUsed[index] = 0;
  batch.rows.losses[index] = 0;
  batch.secondTries.delete(index);
  setRowReason(batch.rows, index, undefined, '');
}

/** Adds a submission's rows and queues; answers the part's number. */
function addPart(batch: BatchDraft, submission: Submission, added: JobRanges): number {
  const part = batch.parts.length;
  batch.parts.push({
    batchId: submission.batchId,
    specHash: submission.specHash,
    sourceHash: submission.sourceHash,
    features: submission.features,
    groups: submission.groups,
    buildDigest: submission.buildDigest,
    buildNeeds: submission.buildNeeds,
  });
  const firstRow = addRows(batch.rows, countIn(added));
  let index = firstRow;
  for (const specIndex of indicesIn(added)) {
    batch.rows.part[index] = part;
    batch.rows.specIndex[index] = specIndex;
    index++;
  }
  let specFirst = 0;
  let cursor = firstRow;
  for (const { count, needs, retries } of submission.groups) {
    const specEnd = specFirst + count;
    let end = cursor;
    while (end < batch.rows.count && (batch.rows.specIndex[end] ?? 0) < specEnd) end++;
    batch.queues.push({ part, needs, retries, specFirst, specEnd, cursor, end, returned: [], queued: end - cursor });
    specFirst = specEnd;
    cursor = end;
  }
  return part;
}
