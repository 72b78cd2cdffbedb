import { join } from 'node:path';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import { attemptId } from '../../base/ids.ts';
import { nameKey, nameProblem } from '../../base/names.ts';
import { chunksOf } from '../../base/transfer/chunk.ts';
import { logPath } from '../../base/transfer/manifest.ts';
import type { FileChunk, LogRequest } from '../../proto/gen/labrun/v1/archive.ts';
import { placeOf } from '../archive/batch-folder.ts';
import type { BuildLogs } from '../archive/build-logs.ts';
import { attemptIn } from '../archive/meta-file.ts';
import type { Publisher } from '../archive/publisher.ts';
import type { Staging } from '../archive/staging.ts';
import type { Bell, Changes } from '../changes.ts';
import { jobState } from '../job-view.ts';
import type { JobSeen } from '../selected-jobs.ts';
import { isThere, refuseDeleted } from './delete-batch.ts';
import { type BatchFound, type FindPorts, findBatch, findJob } from './find-jobs.ts';
import type { CallFacts } from './handle.ts';

/** What showing logs needs. */
export interface LogPorts extends FindPorts {
  readonly staging: Staging;
  readonly buildLogs: BuildLogs;
  readonly publisher: Publisher;
  readonly changes: Changes;
}

/**
 * A job's log, or a build's. With `follow` it goes on as lines arrive, into the next attempt too, until the end. Who was cut
 * off is told the rest of the attempt that their offset is of, whichever the job has by now.
 */
export async function* logStream(ports: LogPorts, request: LogRequest, call: CallFacts): AsyncGenerator<FileChunk> {
  const { signal } = call;
  const batch = await findBatch(ports, request.selector, call);
  const bell = ports.changes.bell(batch.batchId);
  try {
    // It becomes part of a path.
    const problem = request.buildNode === '' ? undefined : nameProblem(request.buildNode);
    if (problem)
      throw new RefusedError(
        refused('invalid', `Cannot show the log of a build on "${request.buildNode}": the name ${problem}`),
      );
    if (request.buildNode !== '') yield* buildLog(ports, batch, request, bell, signal);
    else {
      const job = await findJob(ports, batch.batchId, batch.selection);
      yield* jobLog(ports, batch, job, request, bell, signal);
    }
  } finally {
    bell.close();
  }
}

async function* jobLog(
  ports: LogPorts,
  batch: BatchFound,
  job: Pick<JobSeen, 'index' | 'name' | 'attempt'>,
  request: LogRequest,
  bell: Bell,
  signal: AbortSignal,
): AsyncGenerator<FileChunk> {
  let file = 0;
  let offset = Number(request.offset);
  for (let shown = 0; !signal.aborted; ) {
    const resumed = shown === 0 ? request.offsetOf : undefined;
    const now = await whereIs(ports, batch, job, request.attempt || resumed || undefined);
    if (now.attempt === 0 || now.attempt === shown) {
      if (now.ended || !request.follow) {
        if (shown > 0) return;
        throw new RefusedError(refused('not-found', `Cannot show the log of "${job.name}": it has not been started`));
      }
      await bell.next(signal);
      continue;
    }
    const write = (chunk: { offset: number; data: Buffer }): FileChunk => ({
      file,
      offset: BigInt(chunk.offset),
      data: chunk.data,
      last: false,
      attempt: now.attempt,
    });
    if (now.live) {
      for await (const chunk of stagedLog(ports, batch, job.index, now.attempt, offset, request.follow, bell, signal)) {
        offset = chunk.offset + chunk.data.length;
        yield write(chunk);
      }
      if (!request.follow) return;
    }
    for await (const chunk of keptLog(ports, batch, job.name, now.attempt, offset)) yield write(chunk);
    yield { file, offset: 0n, data: Buffer.alloc(0), last: true, attempt: now.attempt };
    if (!request.follow || request.attempt > 0) return;
    shown = now.attempt;
    file += 1;
    offset = 0;
  }
}

/** The attempt to show, whether it lives, and whether its job has ended. */
async function whereIs(
  ports: LogPorts,
  batch: BatchFound,
  { index, attempt: last }: Pick<JobSeen, 'index' | 'attempt'>,
  wanted: number | undefined,
) {
  return await ports.engine.query((state) => {
    const found = state.batches.get(batch.batchId);
    // Of a retired batch the archive has told it.
    const attempt = wanted ?? (found ? (found.rows.attempts[index] ?? 0) : last);
    const live = state.attempts.has(attemptId({ batchId: batch.batchId, index }, attempt));
    const ended = !found || ['succeeded', 'failed', 'cancelled'].includes(jobState(state, found, index));
    return { attempt, live, ended };
  });
}

/** What is staged of a live attempt's log; with `follow`, until the attempt lives no more. */
async function* stagedLog(
  ports: LogPorts,
  batch: BatchFound,
  index: number,
  attempt: number,
  from: number,
  follow: boolean,
  bell: Bell,
  signal: AbortSignal,
) {
  const staged = await ports.staging.open(attemptId({ batchId: batch.batchId, index }, attempt));
  const stop = staged.onArrival((path) => {
    if (path === 'log' || path === '') bell.ring();
  });
  let offset = from;
  try {
    while (!signal.aborted) {
      const { live } = await whereIs(ports, batch, { index, attempt }, attempt);
      if (!live && follow) return;
      const end = staged.facts('log')?.sizeBytes ?? 0;
      for await (const chunk of pieces(join(staged.folder, 'log'), offset, end)) {
        offset = chunk.offset + chunk.data.length;
        yield chunk;
      }
      if (!follow) return;
      await bell.next(signal);
    }
  } finally {
    stop();
  }
}

/** The log of an attempt that has ended, from wherever the tree has it. */
async function* keptLog(ports: LogPorts, batch: BatchFound, job: string, attempt: number, offset: number) {
  await ports.publisher.readable(batch.batchId);
  const place = await placeOf(ports.layout, batch);
  const folder = ports.layout.jobFolder(place, job);
  const there = (await attemptIn(folder)) === attempt ? folder : ports.layout.earlierAttempt(place, job, attempt);
  if (!(await isThere(there))) await refuseDeleted(ports.engine, batch.batchId, `the log of "${job}"`);
  yield* pieces(join(there, logPath), offset, Number.MAX_SAFE_INTEGER);
}

async function* buildLog(
  ports: LogPorts,
  batch: BatchFound,
  request: LogRequest,
  bell: Bell,
  signal: AbortSignal,
): AsyncGenerator<FileChunk> {
  const path = ports.layout.buildLog(await placeOf(ports.layout, batch), request.buildNode);
  const stop = ports.buildLogs.onArrival(path, () => bell.ring());
  let offset = Number(request.offset);
  let seen = false;
  try {
    while (!signal.aborted) {
      const over = !request.follow || (await buildIsOver(ports, batch, request.buildNode));
      for await (const chunk of pieces(path, offset, Number.MAX_SAFE_INTEGER)) {
        seen = true;
        offset = chunk.offset + chunk.data.length;
        yield { file: 0, offset: BigInt(chunk.offset), data: chunk.data, last: false };
      }
      if (over) break;
      await bell.next(signal);
    }
  } finally {
    stop();
  }
  if (!seen && Number(request.offset) === 0) {
    await refuseDeleted(ports.engine, batch.batchId, `the log of a build of "${batch.name}"`);
    throw new RefusedError(
      refused(
        'not-found',
        `Cannot show the log of a build on "${request.buildNode}": none has been made there for "${batch.name}"`,
      ),
    );
  }
}

/** Whether the build is done there, one way or the other, or no longer wanted. */
async function buildIsOver(ports: LogPorts, batch: BatchFound, nodeName: string): Promise<boolean> {
  return await ports.engine.query((state) => {
    const found = state.batches.get(batch.batchId);
    const node = [...state.nodes.values()].find(({ name }) => nameKey(name) === nameKey(nodeName));
    if (!found || !node || found.ended) return true;
    return found.parts.every(({ buildDigest }) => node.builds.has(buildDigest) || node.failedBuilds.has(buildDigest));
  });
}

/** A file's bytes, or nothing when there is none. */
async function* pieces(path: string, offset: number, end: number) {
  try {
    yield* chunksOf(path, offset, end);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
}
