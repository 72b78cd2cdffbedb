import { readdir, stat } from 'node:fs/promises';
import { atOnce } from '../base/at-once.ts';
import { Fault, isSystemError } from '../base/errors.ts';
import type { BatchId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { nameProblem } from '../base/names.ts';
import { chunksOf } from '../base/transfer/chunk.ts';
import { linesOf } from '../base/transfer/lines.ts';
import { ownerOf } from './archive/batch-folder.ts';
import { isWhole, type KeptResult, readResult } from './archive/kept-result.ts';
import type { ArchiveLayout, BatchPlace } from './archive/layout.ts';
import type { Notices } from './notices.ts';
import type { HeadEngine } from './ports.ts';
import { gapMemoryMs } from './scheduler/limits.ts';
import { knownBatch } from './scheduler/retired.ts';
import type { ClusterState } from './scheduler/state.ts';
import { type JobSeen, jobsOf } from './selected-jobs.ts';
import type { Specs } from './specs.ts';

/** What searching needs. */
export interface SearchPorts {
  readonly engine: Pick<HeadEngine, 'query' | 'submit'>;
  readonly layout: ArchiveLayout;
  readonly specs: Specs;
  readonly notices: Notices;
  readonly log: Log;
}

/** Jobs' folders looked at at once. */
const looksAtOnce = 64;
/** What an ended batch had published this long after its end is not taken for news, in milliseconds. */
const lateMs = 10 * 60_000;
/** Longest line of a `batch.json`, in bytes: one has a whole spec. */
const lineMaxBytes = 2 ** 28;
/** Unknown batches named. */
const namedMax = 3;
const head = { kind: 'system', name: 'head' } as const;

/** A batch that may have results which the log has lost. */
interface Known {
  readonly batchId: BatchId;
  readonly namespace: string;
  readonly name: string;
  readonly specHashes: readonly string[];
  readonly endedAtMs: number | undefined;
}

interface Found {
  taken: number;
  /** Not whole, or of attempts that were retried: only their numbers count. */
  passed: number;
}

/**
 * After a restore, or a loss of the log's end that was accepted: takes the results that the archive holds and the log has
 * not, so that what had ended does not run again. Before the head serves, since a job that has been given out is no
 * longer waiting. Done once; when it is interrupted, the next start begins again.
 */
export async function searchArchive(ports: SearchPorts): Promise<void> {
  const { engine, notices, log } = ports;
  const batches = await engine.query(wanted);
  if (batches === undefined) return;
  log.info({ batches: batches.length }, 'searching the archive for results that the log has lost');
  const found: Found = { taken: 0, passed: 0 };
  for (const batch of batches) await searchBatch(ports, batch, found);
  await nameStrangers(ports);
  const message = `the archive was searched for results that the log has lost: ${found.taken} count, ${found.passed} do not`;
  await engine.submit(head, { kind: 'note-searched', found: found.taken, message });
  if (found.taken > 0) notices.say('searched', `${message}; see "labrun events" for job-recovered`);
  else log.info({}, message);
}

/** Nothing when there is no reason to search. */
function wanted({ gap, atMs, batches }: ClusterState): Known[] | undefined {
  if (!gap || gap.searched || atMs > gap.atMs + gapMemoryMs) return undefined;
  return [...batches.values()].map(({ id, namespace, name, parts, ended }) => ({
    ...{ batchId: id, namespace, name, specHashes: parts.map(({ specHash }) => specHash) },
    endedAtMs: ended?.atMs,
  }));
}

async function searchBatch(ports: SearchPorts, batch: Known, found: Found): Promise<void> {
  const { engine, layout, specs, notices } = ports;
  const { batchId, namespace, name } = batch;
  const place = await findPlace(layout, batch);
  if (!place || !(await mayHaveNews(layout, place, batch))) return;
  if ((await specsIn(layout.batchOwn(place, 'batch.json'))).join() !== batch.specHashes.join()) {
    // Whose results are of which spec cannot be told.
    const text = `jobs were added to "${namespace}/${name}", or changed, and the head has no memory of it: add them again`;
    return notices.say(
      `added ${batchId}`,
      `${text} ("labrun submit --add"); its jobs that had ended since run again`,
      namespace,
    );
  }
  try {
    for await (const page of jobsOf(engine, specs, batchId))
      await atOnce(looksAtOnce, page, (job) => take(ports, place, job, found));
  } catch (error) {
    // Its spec is gone, which is told elsewhere: its jobs have no names.
    if (!(error instanceof Fault) || error.code !== 'lost') throw error;
  }
}

async function findPlace(layout: ArchiveLayout, batch: Known): Promise<BatchPlace | undefined> {
  const { batchId, namespace, name } = batch;
  for (const replaced of [false, true]) {
    const owner = await ownerOf(layout, namespace, name, replaced ? batchId : undefined);
    if (owner === batchId) return { batchId, namespace, name, replaced };
  }
  return undefined;
}

/** Each job that is published changes its batch's folder. */
async function mayHaveNews(layout: ArchiveLayout, place: BatchPlace, { endedAtMs }: Known): Promise<boolean> {
  return endedAtMs === undefined || (await stat(layout.batchFolder(place))).mtimeMs > endedAtMs + lateMs;
}

/** The specs of the submissions that a `batch.json` tells of: each has a line. */
async function specsIn(path: string): Promise<string[]> {
  const damaged = () => new Fault('lost', `Cannot read ${path}: it is not what labrun wrote there`);
  const hashes: string[] = [];
  for await (const line of linesOf(bytesOf(path), lineMaxBytes, damaged)) {
    const hash = line.startsWith('{"submittedBy"') && /"specHash":"(blake3:[0-9a-f]{64})"/.exec(line)?.[1];
    if (hash) hashes.push(hash);
  }
  return hashes;
}

async function take(
  { engine, layout, log }: SearchPorts,
  place: BatchPlace,
  job: JobSeen,
  found: Found,
): Promise<void> {
  const folder = layout.jobFolder(place, job.name);
  const result = await readResult(folder);
  if (!result || !isNews(result, job)) return;
  const whole = await isWhole(folder, result);
  if (!whole) log.warn({ folder }, 'a result that the log has lost is not whole: its job runs again');
  const { job: _name, index, attempt, ...rest } = result;
  const requeued = rest.requeued || !whole;
  const ref = { batchId: place.batchId, index, attempt };
  const verdict = await engine.submit(head, { kind: 'find-archive', attempt: ref, ...rest, requeued });
  if (verdict.kind === 'refused' || verdict.events.length === 0) return;
  if (requeued) found.passed += 1;
  else found.taken += 1;
}

/** Whether it is a later attempt of this job than the log knows the end of. */
function isNews({ job: name, index, attempt }: KeptResult, job: JobSeen): boolean {
  if (name !== job.name || index !== job.index) return false;
  return attempt > job.attempt || (attempt === job.attempt && !over.has(job.state));
}

const over: ReadonlySet<JobSeen['state']> = new Set(['queued', 'held', 'succeeded', 'failed', 'cancelled']);

/** Names batches of the archive that the log has lost: their results are there, and nothing runs of them. */
async function nameStrangers({ engine, layout, notices }: SearchPorts): Promise<void> {
  for (const namespace of await named(layout.root)) {
    const strangers: string[] = [];
    for (const name of await named(layout.namespaceFolder(namespace))) {
      const owner = await ownerOf(layout, namespace, name);
      if (owner === undefined || owner === 'foreign') continue;
      if (!(await engine.query((state) => knownBatch(state, owner) !== undefined))) strangers.push(name);
    }
    if (strangers.length === 0) continue;
    const names = strangers.slice(0, namedMax).map((name) => `${namespace}/${name}`);
    const more = strangers.length > namedMax ? `, and ${strangers.length - namedMax} more` : '';
    notices.say(
      `strangers ${namespace}`,
      `the archive holds batches that this head has no memory of (${names.join(', ')}${more}): "labrun pull" fetches what ` +
        'they have by their whole names; submit what is missing again under another --name, from .labrun/batch.json there',
      namespace,
    );
  }
}

async function named(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() && !nameProblem(entry.name) ? [entry.name] : []));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of chunksOf(path, 0)) yield data;
}
