import { stat } from 'node:fs/promises';
import { type Clock, delay } from '../base/clock.ts';
import { Fault, isSystemError } from '../base/errors.ts';
import type { BatchId } from '../base/ids.ts';
import { asContentHash, type ContentHash } from '../base/transfer/hash.ts';
import type { BatchSpec } from '../config/spec.ts';
import { ownerOf } from './archive/batch-folder.ts';
import type { BlobStore } from './archive/blobs.ts';
import type { ArchiveLayout } from './archive/layout.ts';
import type { Notices } from './notices.ts';
import type { HeadEngine } from './ports.ts';
import { batchNameKey } from './scheduler/draft.ts';
import { knownBatch } from './scheduler/retired.ts';
import type { Specs } from './specs.ts';

/** What checking needs. */
export interface HoldingPorts {
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly blobs: Pick<BlobStore, 'pathOf' | 'setAside'>;
  readonly specs: Pick<Specs, 'get'>;
  readonly layout: ArchiveLayout;
  readonly notices: Notices;
  readonly clock: Clock;
}

/** Files looked at before others get their turn at the disk, and how long that is, in milliseconds. */
const stepFiles = 200;
const pauseMs = 100;
/** How often what was wrong is looked at again, in milliseconds: nothing tells that somebody has put it back. */
const againMs = 10 * 60_000;

/** A batch as far as checking goes. */
interface Held {
  readonly batchId: BatchId;
  readonly namespace: string;
  readonly name: string;
  readonly parts: readonly { readonly specHash: string; readonly sourceHash: string }[];
  /** Its folder is at its name, and nobody has deleted it. */
  readonly hasFolder: boolean;
}

/**
 * Compares what the log says is there with the disk: every input that a batch needs, or every batch's folder. What is not
 * there, or has another size, is named once, and again looked for until it is back. Slow on purpose. Ends with the signal.
 */
export async function checkHoldings(
  ports: HoldingPorts,
  what: 'inputs' | 'folders',
  signal: AbortSignal,
): Promise<void> {
  const pace = paceOf(ports.clock, signal);
  let wrong = await ports.engine.query((state) =>
    [...state.batches.values(), ...state.retired.values()].map((batch): Held => {
      const { id, namespace, name, deleted } = batch;
      // One that is retired needs no input any more.
      const needed = 'parts' in batch ? batch.parts : [];
      const parts = needed.map(({ specHash, sourceHash }) => ({ specHash, sourceHash }));
      const isNamed = state.batchByName.get(batchNameKey(namespace, name)) === id;
      return { batchId: id, namespace, name, parts, hasFolder: isNamed && deleted === undefined };
    }),
  );
  for (;;) {
    const still: Held[] = [];
    const seen = new Map<ContentHash, boolean>();
    for (const batch of wrong) {
      const isThere =
        what === 'inputs'
          ? await checkInputs(ports, await stillNeeded(ports, batch), seen, pace)
          : await checkFolder(ports, batch, pace);
      if (!isThere) still.push(batch);
    }
    if (still.length === 0) return;
    wrong = still;
    await delay(ports.clock, againMs, signal);
  }
}

/** Counts files, and lets others have the disk now and then. */
function paceOf(clock: Clock, signal: AbortSignal): () => Promise<void> {
  let files = 0;
  return async () => {
    signal.throwIfAborted();
    files += 1;
    if (files % stepFiles === 0) await delay(clock, pauseMs, signal);
  };
}

/** Without its inputs, when it has been retired meanwhile. */
async function stillNeeded({ engine }: HoldingPorts, batch: Held): Promise<Held> {
  const isNeeded = await engine.query((state) => state.batches.has(batch.batchId));
  return isNeeded ? batch : { ...batch, parts: [] };
}

/** Whether all that the batch needs is there. */
async function checkInputs(
  { blobs, specs, notices }: HoldingPorts,
  { batchId, namespace, name, parts }: Held,
  seen: Map<ContentHash, boolean>,
  pace: () => Promise<void>,
): Promise<boolean> {
  const missing: string[] = [];
  const look = async (what: string, text: string, sizeBytes: number | undefined) => {
    const hash = asContentHash(text);
    if (!hash) return;
    const known = seen.get(hash);
    if (known === undefined) await pace();
    const whole = known ?? (await isWhole(blobs, hash, sizeBytes));
    seen.set(hash, whole);
    if (!whole) missing.push(what);
  };
  for (const { specHash, sourceHash } of parts) {
    // First read, by which a lost one may come back.
    const spec = await readable(specs, specHash);
    await look('its spec', specHash, undefined);
    await look('the job file as it was written', sourceHash, undefined);
    if (!spec && !missing.includes('its spec')) missing.push('its spec');
    for (const [source, entries] of Object.entries(spec?.sources ?? {})) {
      for (const entry of entries)
        if (entry.kind === 'file')
          await look(entry.path === '' ? source : `${source}/${entry.path}`, entry.hash, entry.sizeBytes);
    }
  }
  const key = `inputs ${batchId}`;
  const [first] = missing;
  if (first === undefined) notices.unsay(key);
  else {
    const more = missing.length > 1 ? `, and ${missing.length - 1} more` : '';
    notices.say(
      key,
      `input files of "${namespace}/${name}" are gone from the head's disk (${first}${more}): its jobs cannot start; ` +
        'submit it again, which uploads what is missing',
      namespace,
    );
  }
  return first === undefined;
}

/** The spec, or nothing where it is gone or no spec any more. */
async function readable(specs: HoldingPorts['specs'], specHash: string): Promise<BatchSpec | undefined> {
  try {
    return await specs.get(specHash);
  } catch (error) {
    if (error instanceof Fault && error.code === 'lost') return undefined;
    throw error;
  }
}

/** What has another size than it must have is moved aside, so that it can be uploaded again. */
async function isWhole(
  blobs: HoldingPorts['blobs'],
  hash: ContentHash,
  sizeBytes: number | undefined,
): Promise<boolean> {
  try {
    const { size } = await stat(blobs.pathOf(hash));
    if (sizeBytes === undefined ? size > 0 : size === sizeBytes) return true;
    // It may be the spec that is wrong, and others need this content.
    return !(await blobs.setAside(hash));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}

async function checkFolder(
  { layout, engine, notices }: HoldingPorts,
  { batchId, namespace, name, hasFolder }: Held,
  pace: () => Promise<void>,
): Promise<boolean> {
  const key = `folder ${batchId}`;
  if (!hasFolder) return true;
  await pace();
  const owner = await ownerOf(layout, namespace, name);
  const isExpected = await engine.query((state) => {
    const batch = knownBatch(state, batchId);
    return batch?.deleted === undefined && state.batchByName.get(batchNameKey(namespace, name)) === batchId;
  });
  if (owner === batchId || !isExpected) {
    notices.unsay(key);
    return true;
  }
  const what = owner === 'foreign' ? 'its batch.json is gone' : owner === undefined ? 'it is gone' : 'another is there';
  notices.say(
    key,
    `the archive's folder of "${namespace}/${name}" is not what was written there: ${what}, and nobody deleted it with ` +
      '"labrun delete"; put it back from a copy, or delete the batch',
    namespace,
  );
  return false;
}
