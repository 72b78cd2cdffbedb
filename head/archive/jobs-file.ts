import { Fault, isSystemError } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import { chunksOf } from '../../base/transfer/chunk.ts';
import { linesOf } from '../../base/transfer/lines.ts';
import { type JobFacts, viewJob } from '../job-view.ts';
import type { HeadEngine } from '../ports.ts';
import { failureReasons } from '../scheduler/state.ts';
import type { NamedJob } from '../specs.ts';

/** Jobs read in one turn of the engine, and in one page of a file. */
const pageJobs = 2_000;
/** Longest line, in bytes: a name, its parameters and a sentence fit many times. */
const lineMaxBytes = 2 ** 20;

/** The lines of `jobs.jsonl`, a page at a time: one object a job, in the order of their indices. */
export async function* jobLines(
  engine: Pick<HeadEngine, 'query'>,
  batchId: BatchId,
  naming: (at: JobFacts) => NamedJob,
): AsyncGenerator<string> {
  for (let first = 0; ; first += pageJobs) {
    const page = await engine.query((state) => {
      const batch = state.batches.get(batchId);
      if (!batch) throw new Fault('lost', `Cannot write the jobs of batch ${batchId}: there is no such batch`);
      const indices = Array.from({ length: Math.min(pageJobs, batch.rows.count - first) }, (_, at) => first + at);
      return indices.map((index) => viewJob(state, batch, index));
    });
    if (page.length === 0) return;
    let lines = '';
    for (const job of page) {
      const { name, params } = naming(job);
      const { index, state, node, attempt, reason, message, exitCode, startedAtMs, finishedAtMs, pausedMs } = job;
      const times = { startedAt: isoTime(startedAtMs), finishedAt: isoTime(finishedAtMs), pausedMs };
      lines += `${JSON.stringify({ job: name, index, params, state, node, attempt, reason, message, exitCode, ...times })}\n`;
    }
    yield lines;
  }
}

/**
 * The jobs that a `jobs.jsonl` tells of, a page at a time. Throws `Fault` "lost" where the file is gone, or a line is not
 * what was written.
 */
export async function* jobsIn(path: string): AsyncGenerator<readonly (JobFacts & NamedJob)[]> {
  const damaged = (line: number) =>
    new Fault('lost', `Cannot read ${path}: line ${line} is not what labrun wrote there`);
  let page: (JobFacts & NamedJob)[] = [];
  let number = 0;
  try {
    for await (const line of linesOf(bytesOf(path), lineMaxBytes, () => damaged(number + 1))) {
      number += 1;
      const job = readJob(line);
      if (!job) throw damaged(number);
      page.push(job);
      if (page.length < pageJobs) continue;
      yield page;
      page = [];
    }
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
    throw new Fault('lost', `Cannot read ${path}: it is gone; put it back from a copy of the archive`, {
      cause: error,
    });
  }
  if (page.length > 0) yield page;
}

function readJob(line: string): (JobFacts & NamedJob) | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined; // named by the caller
  }
  const {
    job,
    index,
    params,
    state,
    node,
    attempt,
    reason,
    message,
    exitCode,
    startedAt,
    finishedAt,
    pausedMs,
  }: Record<string, unknown> = { ...Object(value) };
  const ended = endStates.find((name) => name === state);
  if (typeof job !== 'string' || !isCount(index) || !isCount(attempt) || !ended || !isTexts(params)) return undefined;
  if (typeof node !== 'string' || typeof message !== 'string') return undefined;
  return {
    ...{ name: job, index, params, state: ended, node, attempt, message },
    reason: failureReasons.find((known) => known === reason),
    exitCode: typeof exitCode === 'number' ? exitCode : undefined,
    startedAtMs: readTime(startedAt),
    finishedAtMs: readTime(finishedAt),
    // Lines of earlier versions do not say.
    pausedMs: isCount(pausedMs) ? pausedMs : 0,
    pausedSinceMs: undefined,
    // Its name and parameters are here: nobody looks for it in a spec.
    part: 0,
    specIndex: 0,
  };
}

const endStates = ['succeeded', 'failed', 'cancelled'] as const;

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
}

function isoTime(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

function readTime(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of chunksOf(path, 0)) yield data;
}
