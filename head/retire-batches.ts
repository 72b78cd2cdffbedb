import { background } from '../base/background.ts';
import { type Clock, delay } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { BatchId } from '../base/ids.ts';
import { rejectionBy } from '../base/rejection.ts';
import { batchFileBody, type SubmittedPart } from './archive/batch-file.ts';
import { ownerOf, retiredPlaceOf, writeBatchFile, writeJobsFile } from './archive/batch-folder.ts';
import type { BlobStore } from './archive/blobs.ts';
import { jobLines } from './archive/jobs-file.ts';
import type { ArchiveLayout, BatchPlace } from './archive/layout.ts';
import type { Publisher } from './archive/publisher.ts';
import type { Notices } from './notices.ts';
import type { HeadEngine } from './ports.ts';
import { nextRetirementMs, retiresAtMs } from './scheduler/retired.ts';
import type { Batch } from './scheduler/state.ts';
import type { Specs } from './specs.ts';

/** What retiring needs. */
export interface RetirePorts {
  readonly engine: Pick<HeadEngine, 'query' | 'submit'>;
  /** The head's time, in milliseconds since 1970. */
  readonly nowMs: () => number;
  readonly clock: Clock;
  readonly layout: ArchiveLayout;
  readonly specs: Pick<Specs, 'naming'>;
  readonly blobs: BlobStore;
  readonly publisher: Pick<Publisher, 'idle' | 'settled'>;
  readonly notices: Notices;
}

/**
 * How long after its start a head retires nothing, in milliseconds: what it has published anew after a power cut is on
 * the disk by then, also where its clock was wrong by a month.
 */
const settleMs = 5 * 60_000;
/** When what could not be written is tried again, in milliseconds: nothing tells that the disk has room. */
const againMs = 3_600_000;
/** Longest wait for the next batch, in milliseconds: timers keep no month. */
const waitMaxMs = 24 * 3_600_000;
/** A batch that cannot be retired, as its notice is known. */
const keyOf = (batchId: BatchId) => `retire ${batchId}`;

/**
 * Retires batches that ended long ago: their jobs are written into their archives, and only then leave the head's memory.
 * What a crash interrupts is done again. Answers how to stop.
 */
export function retireBatches(ports: RetirePorts): () => Promise<void> {
  const stop = new AbortController();
  const working = work(ports, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  background(working);
  return () => {
    stop.abort(new Error('the head is stopping'));
    return working;
  };
}

async function work(ports: RetirePorts, signal: AbortSignal): Promise<void> {
  const { engine, clock, publisher } = ports;
  await delay(clock, settleMs, signal);
  await Promise.race([publisher.idle(), rejectionBy(signal)]);
  for (;;) {
    const isDone = await retireDue(ports, signal);
    const nextMs = isDone ? await engine.query(nextRetirementMs) : ports.nowMs() + againMs;
    const waitMs = Math.max(1_000, (nextMs ?? Number.POSITIVE_INFINITY) - ports.nowMs());
    await delay(clock, Math.min(waitMs, waitMaxMs), signal);
  }
}

/** Retires every batch that may be now; false when one of them could not. */
async function retireDue(ports: RetirePorts, signal: AbortSignal): Promise<boolean> {
  const due = await ports.engine.query((state) =>
    [...state.batches.values()].flatMap((batch) =>
      (retiresAtMs(batch) ?? Infinity) <= ports.nowMs() ? [batch.id] : [],
    ),
  );
  let isDone = true;
  for (const batchId of due) {
    signal.throwIfAborted();
    try {
      // A deletion that is on its way takes what is written before it.
      await Promise.race([ports.publisher.settled(batchId), rejectionBy(signal)]);
      await retire(ports, batchId);
      ports.notices.unsay(keyOf(batchId));
    } catch (error) {
      signal.throwIfAborted();
      isDone = false;
      await sayWhyNot(ports, batchId, error);
    }
  }
  return isDone;
}

/** Writes what is known of the jobs, on disk, and then lets go of it. */
async function retire({ engine, layout, specs, blobs }: RetirePorts, batchId: BatchId): Promise<void> {
  const batch = await engine.query((state) => factsOf(state.batches.get(batchId)));
  if (!batch) return;
  const naming = await specs.naming(batch.parts.map(({ submission }) => submission));
  const place = await retiredPlaceOf(layout, batch);
  // Somebody had removed the folder by hand, or put another in its place: without `batch.json` the rest says little.
  if (place.replaced && !(await hasBatchFile(layout, place))) {
    await writeBatchFile(layout, place, batchFileBody(blobs, batch, batch.parts));
  }
  await writeJobsFile(layout.batchOwn(place, 'jobs.jsonl'), jobLines(engine, batchId, naming));
  // Refused when something has happened meanwhile: then it has not ended for so long any more, or is looked at again.
  await engine.submit(
    { kind: 'system', name: 'head' },
    { kind: 'retire-batch', batchId, deletedSeq: batch.deletedSeq },
  );
}

function factsOf(batch: Batch | undefined) {
  if (!batch) return undefined;
  const { id, namespace, name, origin, submittedBy, submittedAtMs } = batch;
  const parts = batch.parts.map((submission): SubmittedPart => ({ submission, submittedBy, submittedAtMs }));
  return { batchId: id, namespace, name, origin, parts, deletedSeq: batch.deleted?.seq ?? 0 };
}

/** Whether a tree that was set aside is there as such. */
async function hasBatchFile(layout: ArchiveLayout, { namespace, name, batchId }: BatchPlace): Promise<boolean> {
  return (await ownerOf(layout, namespace, name, batchId)) === batchId;
}

async function sayWhyNot({ engine, notices }: RetirePorts, batchId: BatchId, error: unknown): Promise<void> {
  const batch = await engine.query((state) => factsOf(state.batches.get(batchId)));
  if (!batch) return;
  notices.say(
    keyOf(batchId),
    `the jobs of "${batch.namespace}/${batch.name}", which ended long ago, cannot be written into its archive, and stay in ` +
      `the head's memory: ${messageOf(error)}`,
    batch.namespace,
  );
}
