import { basename } from 'node:path';
import { atOnce } from '../../base/at-once.ts';
import { Fault } from '../../base/errors.ts';
import { attemptId, type BatchId } from '../../base/ids.ts';
import type { Tree } from '../../base/transfer/tree.ts';
import type { HeadEngine } from '../ports.ts';
import { batchNameKey } from '../scheduler/draft.ts';
import { knownBatch } from '../scheduler/retired.ts';
import type { Specs } from '../specs.ts';
import { type ArchiveRecord, batchOf } from './archive-record.ts';
import type { ArchiveUsage } from './archive-usage.ts';
import { batchFileBody, type SubmittedPart } from './batch-file.ts';
import { type BatchNames, moveReplaced, ownerOf, placeOf, writeBatchFile, writeJobsFile } from './batch-folder.ts';
import type { BlobStore } from './blobs.ts';
import { deleteTree, writeMark } from './delete-batch.ts';
import { jobLines } from './jobs-file.ts';
import type { ArchiveLayout, BatchPlace } from './layout.ts';
import type { AcceptedAttempt } from './meta-file.ts';
import { type Destination, inlineTree, publishStaged, takePlace } from './publish-attempt.ts';
import type { Staging } from './staging.ts';
import { isTorn } from './torn-tree.ts';
import type { Trash } from './trash.ts';
import type { TreeWriter } from './tree-writer.ts';

/** What making the tree needs. */
export interface PublishPorts {
  readonly layout: ArchiveLayout;
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly staging: Staging;
  readonly specs: Specs;
  readonly blobs: BlobStore;
  readonly trees: TreeWriter;
  readonly trash: Trash;
  readonly usage: Pick<ArchiveUsage, 'add'>;
  /** labrun's own version, for `meta.json`. */
  readonly version: string;
}

/** Staged archives moved at once. */
const movesAtOnce = 8;

type Accepted = ArchiveRecord & { readonly event: Extract<ArchiveRecord['event'], { kind: 'archive-accepted' }> };

/** Makes records part of the archive's tree, in order. Every step is repeatable. Rejects when the disk says no. */
export async function publish(ports: PublishPorts, records: readonly ArchiveRecord[]): Promise<void> {
  let run: Accepted[] = [];
  let jobs = new Set<string>();
  const flush = async () => {
    await publishAttempts(ports, run);
    run = [];
    jobs = new Set();
  };
  const retired = await retiredAmong(ports, records);
  for (const record of records) {
    const { event } = record;
    // Being repeated: before it was retired all of it had been done.
    if (event.kind !== 'batch-deleted' && retired.has(batchOf(record))) continue;
    if (event.kind === 'archive-accepted') {
      const job = `${event.attempt.batchId}.${event.attempt.index}`;
      // Two attempts of one job take its folder one after the other.
      if (jobs.has(job)) await flush();
      jobs.add(job);
      run.push({ ...record, event });
      continue;
    }
    await flush();
    if (event.kind === 'attempt-lost' || event.kind === 'attempt-returned') {
      await ports.staging.drop(attemptId(event.attempt, event.attempt.attempt));
    } else if (event.kind === 'batch-ended') await writeJobs(ports, event.batchId, record.seq);
    else if (event.kind === 'batch-deleted') await removeBatch(ports, event.batchId, record);
    else await writeBatch(ports, event.batchId, event.kind === 'batch-submitted' ? event.replaces : undefined);
  }
  await flush();
}

async function retiredAmong(
  { engine }: PublishPorts,
  records: readonly ArchiveRecord[],
): Promise<ReadonlySet<BatchId>> {
  const batches = new Set(records.map(batchOf));
  return await engine.query((state) => new Set([...batches].filter((id) => state.retired.has(id))));
}

async function publishAttempts(ports: PublishPorts, records: readonly Accepted[]): Promise<void> {
  const trees: Tree[] = [];
  const inlined: { accepted: AcceptedAttempt; to: Destination }[] = [];
  const staged: { accepted: AcceptedAttempt; to: Destination }[] = [];
  for (const [batchId, group] of byBatch(records)) {
    const batch = await batchFacts(ports, batchId, group);
    // What was deleted later does not come back when its records are published again.
    const [gone, wanted] = [
      group.filter(({ seq }) => seq < batch.deletedSeq),
      group.filter(({ seq }) => seq > batch.deletedSeq),
    ];
    for (const { event } of gone) await ports.staging.drop(attemptId(event.attempt, event.attempt.attempt));
    const to = { place: batch.place, withOutputFile: batch.origin === 'distribute', versions: { head: ports.version } };
    for (const record of wanted) {
      const accepted = batch.accepted(record);
      const { inline } = record.event;
      if (!inline) staged.push({ accepted, to });
      else {
        inlined.push({ accepted, to });
        trees.push(inlineTree(ports.layout, accepted, inline, to));
      }
    }
  }
  await atOnce(movesAtOnce, staged, async ({ accepted, to }) => {
    const id = attemptId({ batchId: to.place.batchId, index: accepted.index }, accepted.attempt);
    const { sizeBytes } = await ports.staging.open(id);
    await ports.staging.forget(id);
    await publishStaged(ports.layout, accepted, to);
    ports.usage.add(to.place.namespace, sizeBytes);
  });
  await writeTrees(ports, trees, inlined);
  // What travelled while the job ran: its small archive came whole, in the report of its end.
  for (const { accepted, to } of inlined) {
    await ports.staging.dropStaged(attemptId({ batchId: to.place.batchId, index: accepted.index }, accepted.attempt));
  }
}

async function writeTrees(
  ports: PublishPorts,
  trees: readonly Tree[],
  of: readonly { accepted: AcceptedAttempt; to: Destination }[],
): Promise<void> {
  if (trees.length === 0) return;
  const results = await ports.trees.write(trees);
  for (const [at, result] of results.entries()) {
    const tree = trees[at];
    const owner = of[at];
    if (!tree || !owner) continue;
    // Something else than a folder may be there: a link, where somebody has moved it away.
    if (result.kind === 'failed' && result.code !== 'ENOTDIR')
      throw new Fault(result.code, `Cannot write "${tree.target}": ${result.message}`);
    const bytes = tree.files.reduce((sum, { data }) => sum + data.length, 0);
    ports.usage.add(owner.to.place.namespace, bytes);
    if (result.kind === 'made') continue;
    await removeTorn(ports, owner.accepted, owner.to.place, tree);
    await takePlace(ports.layout, owner.accepted, owner.to.place, tree.temporary);
    await ports.trees.discard(tree.temporary);
  }
}

/** Small archives are not brought to the disk one by one: what a power cut has left of one is not to be taken for it. */
async function removeTorn(
  { layout, trash }: PublishPorts,
  accepted: AcceptedAttempt,
  place: BatchPlace,
  tree: Tree,
): Promise<void> {
  const name = accepted.job.name;
  const folders = [layout.jobFolder(place, name), layout.earlierAttempt(place, name, accepted.attempt)];
  for (const [at, folder] of folders.entries())
    if (await isTorn(folder, tree, accepted)) await trash.take(folder, `${basename(tree.temporary)}.torn-${at}`);
}

/** What the attempts of one batch have in common. */
async function batchFacts(ports: PublishPorts, batchId: BatchId, records: readonly Accepted[]) {
  const facts = await ports.engine.query((state) => {
    const batch = needBatch(state.batches.get(batchId), batchId);
    const rows = records.map(({ event: { attempt } }) => ({
      part: batch.rows.part[attempt.index] ?? 0,
      specIndex: batch.rows.specIndex[attempt.index] ?? 0,
      lastGiven: batch.rows.attempts[attempt.index] ?? 0,
    }));
    const { namespace, name, origin } = batch;
    const deletedSeq = batch.deleted?.seq ?? 0;
    return { namespace, name, origin, deletedSeq, parts: batch.parts.map(({ specHash }) => ({ specHash })), rows };
  });
  const naming = await ports.specs.naming(facts.parts);
  const place = await makePlace(ports, { batchId, namespace: facts.namespace, name: facts.name });
  const position = new Map(records.map((record, at) => [record, at]));
  const accepted = (record: Accepted): AcceptedAttempt => {
    const { attempt, outcome, manifestHash, startedAtMs, endedAtMs, pausedMs } = record.event;
    const requeued = record.event.requeued !== undefined;
    const at = position.get(record) ?? 0;
    const row = facts.rows[at] ?? { part: 0, specIndex: 0, lastGiven: 0 };
    const job = naming(row);
    const { lastGiven } = row;
    const node = record.actor.name; // agents report, so this is the node
    const { index, attempt: number } = attempt;
    const ends = { outcome, manifestHash, startedAtMs, endedAtMs, pausedMs, requeued };
    return { record, index, attempt: number, lastGiven, job, node, ...ends };
  };
  return { place, origin: facts.origin, deletedSeq: facts.deletedSeq, accepted };
}

/**
 * Where a batch's tree is. When somebody has removed its folder it is made anew: with results and no `batch.json` in it,
 * it would be taken for somebody else's from then on, and what follows be put elsewhere.
 */
async function makePlace(ports: PublishPorts, batch: BatchNames): Promise<BatchPlace> {
  const { batchId, namespace, name } = batch;
  if ((await ownerOf(ports.layout, namespace, name)) === undefined) {
    const { isNamed, deleted } = await ports.engine.query((state) => ({
      isNamed: state.batchByName.get(batchNameKey(namespace, name)) === batchId,
      deleted: state.batches.get(batchId)?.deleted,
    }));
    if (!isNamed) return { ...batch, replaced: true };
    await writeBatch(ports, batchId, undefined);
    // Otherwise the deletion would be done once more when it is repeated, to what has come since.
    if (deleted)
      await writeMark(ports.layout.batchFolder({ ...batch, replaced: false }), { ...deleted, by: deleted.by.name });
  }
  return await placeOf(ports.layout, batch);
}

async function writeBatch(ports: PublishPorts, batchId: BatchId, replaces: BatchId | undefined): Promise<void> {
  const { layout, engine, blobs } = ports;
  const { batch, old } = await engine.query((state) => {
    const { namespace, name, origin, submittedBy, submittedAtMs, parts } = needBatch(
      state.batches.get(batchId),
      batchId,
    );
    const replaced = replaces && knownBatch(state, replaces);
    return {
      batch: { batchId, namespace, name, origin, submittedBy, submittedAtMs, parts: [...parts] },
      old: replaced && { batchId: replaced.id, namespace: replaced.namespace, name: replaced.name },
    };
  });
  if (old) await moveReplaced(layout, old);
  const owner = await ownerOf(layout, batch.namespace, batch.name);
  // A later batch of the name has taken the place already: this record is being repeated.
  if (owner !== undefined && owner !== batchId) return;
  const parts = batch.parts.map(
    (submission): SubmittedPart => ({ submission, submittedBy: batch.submittedBy, submittedAtMs: batch.submittedAtMs }),
  );
  await writeBatchFile(layout, { ...batch, replaced: false }, batchFileBody(blobs, batch, parts));
}

async function removeBatch(ports: PublishPorts, batchId: BatchId, { seq, actor, atMs }: ArchiveRecord): Promise<void> {
  const { namespace, name, keepsJobs } = await ports.engine.query((state) => {
    const batch = needBatch(knownBatch(state, batchId), batchId);
    // What became of its jobs is nowhere else.
    return { namespace: batch.namespace, name: batch.name, keepsJobs: state.retired.has(batchId) };
  });
  const place = await placeOf(ports.layout, { batchId, namespace, name });
  await deleteTree(ports.layout, ports.trash, place, { seq, by: actor.name, atMs, keepsJobs });
}

async function writeJobs(ports: PublishPorts, batchId: BatchId, seq: number): Promise<void> {
  const batch = await ports.engine.query((state) => {
    const { namespace, name, parts, ended, deleted } = needBatch(state.batches.get(batchId), batchId);
    const isGone = seq < (deleted?.seq ?? 0);
    return { batchId, namespace, name, parts: parts.map(({ specHash }) => ({ specHash })), ended, isGone };
  });
  if (!batch.ended || batch.isGone) return; // it goes on: retried, or extended
  const naming = await ports.specs.naming(batch.parts);
  const path = ports.layout.batchOwn(await makePlace(ports, batch), 'jobs.jsonl');
  await writeJobsFile(path, jobLines(ports.engine, batchId, naming));
}

function byBatch(records: readonly Accepted[]): Map<BatchId, Accepted[]> {
  const groups = new Map<BatchId, Accepted[]>();
  for (const record of records) {
    const group = groups.get(record.event.attempt.batchId);
    if (group) group.push(record);
    else groups.set(record.event.attempt.batchId, [record]);
  }
  return groups;
}

function needBatch<Known>(batch: Known | undefined, batchId: BatchId): Known {
  if (!batch) throw new Fault('lost', `Cannot publish: there is no batch ${batchId}`);
  return batch;
}
