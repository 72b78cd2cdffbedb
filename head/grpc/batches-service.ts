import { orThrow } from '../../base/channel/answer.ts';
import { type Clock, delay } from '../../base/clock.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import type {
  BatchesServer,
  BatchSummary,
  ChangeJobsRequest,
  ChangeJobsResponse,
  ExplainResponse,
  GetBatchRequest,
  JobsPage,
  JobsRequest,
  ListBatchesRequest,
  ListBatchesResponse,
} from '../../proto/gen/labrun/v1/batches.ts';
import { readableBy } from '../access.ts';
import type { Publisher } from '../archive/publisher.ts';
import { type BatchFacts, liveByBatch, viewBatch, viewRetired } from '../batch-view.ts';
import type { Changes } from '../changes.ts';
import { retiredFailures } from '../retired-jobs.ts';
import { explainGone, explain as explainJob } from '../scheduler/explain.ts';
import { rangesOf } from '../scheduler/job-ranges.ts';
import { readSelection } from '../select.ts';
import type { JobSeen } from '../selected-jobs.ts';
import { actorOf, writeJob } from '../wire.ts';
import { deleteBatch } from './delete-batch.ts';
import type { Door } from './door.ts';
import { findBatch, findJob, findJobs } from './find-jobs.ts';
import { type CallFacts, serverStream, unary } from './handle.ts';
import { requeue } from './requeue.ts';
import { type SubmitPorts, submit } from './submit.ts';

/** What the batches' door needs. */
export interface BatchesPorts extends SubmitPorts {
  readonly publisher: Publisher;
  readonly changes: Changes;
  readonly clock: Clock;
}

/** Batches in one page of a list. */
const pageMax = 200;
/** Ended batches are listed for this long unless all are asked for, in milliseconds. */
const recentMs = 7 * 24 * 3_600_000;
/** Shortest time between two summaries of one watcher, in milliseconds. */
const watchEveryMs = 100;

/** What people do with batches. */
export function batchesService(ports: BatchesPorts, door: Door): BatchesServer {
  const change = (kind: 'cancel' | 'hold' | 'release' | 'retry') =>
    unary<ChangeJobsRequest, ChangeJobsResponse>(door, 'batch.change', (request, facts) =>
      changeJobs(ports, kind, request, facts),
    );
  return {
    submit: unary(door, 'batch.change', (request, facts) => submit(ports, request, facts)),
    list: unary(door, 'cluster.read', (request, facts) => listBatches(ports, request, facts)),
    get: unary(door, 'batch.read', async (request, facts) => {
      const { batchId } = await findBatch(ports, request.selector, facts);
      return await summaryOf(ports, batchId);
    }),
    jobs: serverStream(door, 'batch.read', (request, facts) => jobsPages(ports, request, facts)),
    watch: serverStream(door, 'batch.read', (request, facts) => watch(ports, request, facts)),
    cancel: change('cancel'),
    hold: change('hold'),
    release: change('release'),
    retry: change('retry'),
    requeue: unary(door, 'batch.change', (request, facts) => requeue(ports, request, facts)),
    delete: unary(door, 'batch.change', (request, facts) => deleteBatch(ports, request, facts)),
    explain: unary(door, 'batch.read', (request, facts) => explain(ports, request, facts)),
  };
}

async function listBatches(
  ports: BatchesPorts,
  request: ListBatchesRequest,
  { caller, pass }: CallFacts,
): Promise<ListBatchesResponse> {
  const selection = orThrow(readSelection(request.selector, caller.name));
  const oneNamespace = !request.all || (request.selector?.namespace ?? '') !== '';
  const now = ports.clock.nowMs();
  const facts = await ports.engine.query((state) => {
    const live = liveByBatch(state);
    const mayRead = readableBy(state.access, pass.who);
    const wanted = [...state.batches.values(), ...state.retired.values()]
      .filter((batch) => !oneNamespace || batch.namespace === selection.namespace)
      .filter((batch) => mayRead(batch.namespace))
      .filter((batch) => batch.name.startsWith(selection.batch))
      .filter((batch) => request.all || !batch.ended || now - batch.ended.atMs < recentMs)
      .filter((batch) => request.pageToken === '' || batch.id < request.pageToken)
      .sort((a, b) => (a.id < b.id ? 1 : -1));
    const page = wanted
      .slice(0, pageMax)
      .map((batch) => ('rows' in batch ? viewBatch(state, batch, live.get(batch.id) ?? []) : viewRetired(batch)));
    return { page, more: wanted.length > pageMax };
  });
  const batches: BatchSummary[] = [];
  for (const batch of facts.page) batches.push(await writeSummary(ports, batch));
  return { batches, nextPageToken: facts.more ? (facts.page.at(-1)?.batchId ?? '') : '' };
}

async function* jobsPages(ports: BatchesPorts, request: JobsRequest, facts: CallFacts): AsyncGenerator<JobsPage> {
  const { batchId, selection } = await findBatch(ports, request.selector, facts);
  for await (const jobs of findJobs(ports, batchId, selection)) yield { jobs: jobs.map(writeJob) };
}

/** Ends once the batch has ended and its last archive can be seen in the tree. */
async function* watch(ports: BatchesPorts, request: GetBatchRequest, call: CallFacts): AsyncGenerator<BatchSummary> {
  const { signal } = call;
  const { batchId } = await findBatch(ports, request.selector, call);
  const bell = ports.changes.bell(batchId);
  let last = '';
  try {
    while (!signal.aborted) {
      const facts = await factsOf(ports, batchId);
      if (facts.endedAtMs !== undefined) await ports.publisher.settled(batchId);
      const now = JSON.stringify(facts);
      if (now !== last) yield await writeSummary(ports, facts);
      last = now;
      if (facts.endedAtMs !== undefined) return;
      await bell.next(signal);
      await delay(ports.clock, watchEveryMs, signal).catch(() => undefined); // the caller has gone
    }
  } finally {
    bell.close();
  }
}

async function changeJobs(
  ports: BatchesPorts,
  kind: 'cancel' | 'hold' | 'release' | 'retry',
  request: ChangeJobsRequest,
  facts: CallFacts,
): Promise<ChangeJobsResponse> {
  const { batchId, selection } = await findBatch(ports, request.selector, facts);
  const filtered = selection.job !== '' || selection.states.size + selection.reasons.size + selection.where.length > 0;
  if (kind === 'retry' && !filtered) {
    throw new RefusedError(
      refused(
        'invalid',
        `Cannot retry all of "${selection.batch}": say which, such as "--state failed" or a job's name`,
      ),
    );
  }
  const changeable: ReadonlySet<JobSeen['state']> | undefined = changeableStates[kind];
  const indices: number[] = [];
  const found = { selected: 0, stopping: 0, over: 0 };
  for await (const jobs of findJobs(ports, batchId, selection)) {
    found.selected += jobs.length;
    for (const { index, state } of jobs) {
      if (!changeable.has(state)) continue;
      indices.push(index);
      if (kind !== 'cancel' || state === 'queued' || state === 'held') continue;
      found[state === 'archiving' ? 'over' : 'stopping'] += 1;
    }
  }
  if (indices.length > 0) {
    const jobs = rangesOf(indices.sort((a, b) => a - b));
    orThrow(await ports.engine.submit(actorOf(facts.caller), { kind, batchId, jobs }));
  }
  return { changed: indices.length, ...found };
}

/** `cancelling` is also what is stopped to wait again, which a cancel makes an end. */
const live = ['assigned', 'staging', 'building', 'running', 'paused', 'archiving', 'lapsed', 'cancelling'] as const;
const changeableStates: Readonly<Record<'cancel' | 'hold' | 'release' | 'retry', ReadonlySet<JobSeen['state']>>> = {
  cancel: new Set(['queued', 'held', ...live]),
  hold: new Set(['queued']),
  release: new Set(['held']),
  retry: new Set(['succeeded', 'failed', 'cancelled']),
};

async function explain(ports: BatchesPorts, request: ChangeJobsRequest, facts: CallFacts): Promise<ExplainResponse> {
  const { batchId, selection } = await findBatch(ports, request.selector, facts);
  const job =
    selection.job === '' ? await firstWaiting(ports, batchId, selection) : await findJob(ports, batchId, selection);
  const nowMs = ports.clock.nowMs();
  const { summary, nodes } = await ports.engine.query((state) => {
    const batch = state.batches.get(batchId);
    return batch ? explainJob(state, batch, job.index, nowMs) : { summary: explainGone(state, batchId), nodes: [] };
  });
  return { job: writeJob(job), summary, nodes: [...nodes] };
}

async function firstWaiting(
  ports: BatchesPorts,
  batchId: BatchId,
  selection: Parameters<typeof findJobs>[2],
): Promise<JobSeen> {
  let first: JobSeen | undefined;
  for await (const jobs of findJobs(ports, batchId, selection)) {
    const waiting = jobs.find(({ state }) => state === 'queued' || state === 'held');
    if (waiting) return waiting;
    first ??= jobs[0];
  }
  if (!first) throw new RefusedError(refused('not-found', `Cannot explain: no job of "${selection.batch}" fits`));
  return first;
}

async function factsOf(ports: BatchesPorts, batchId: BatchId): Promise<BatchFacts> {
  const facts = await ports.engine.query((state) => {
    const batch = state.batches.get(batchId);
    const retired = state.retired.get(batchId);
    return batch ? viewBatch(state, batch, liveByBatch(state).get(batchId) ?? []) : retired && viewRetired(retired);
  });
  if (!facts) throw new RefusedError(refused('not-found', `Cannot find the batch ${batchId}: it is gone`));
  return facts;
}

async function summaryOf(ports: BatchesPorts, batchId: BatchId): Promise<BatchSummary> {
  const summary = await writeSummary(ports, await factsOf(ports, batchId));
  const retired = await ports.engine.query((state) => state.retired.get(batchId));
  if (!retired) return summary;
  const failures = await retiredFailures(ports.layout, retired);
  return { ...summary, failures: failures.map(({ example: _, ...failure }) => failure) };
}

async function writeSummary(ports: BatchesPorts, facts: BatchFacts): Promise<BatchSummary> {
  const { batchId, namespace, name, state, counts, submittedBy, maxRunning, buildFailures, origin, notice } = facts;
  return {
    batchId,
    namespace,
    name,
    state,
    counts: { ...counts },
    submittedBy,
    submittedAtMs: BigInt(facts.submittedAtMs),
    endedAtMs: facts.endedAtMs === undefined ? undefined : BigInt(facts.endedAtMs),
    deletedAtMs: facts.deleted && BigInt(facts.deleted.atMs),
    deletedBy: facts.deleted?.by ?? '',
    failures: await writeFailures(ports, facts),
    maxRunning,
    buildFailures: [...buildFailures],
    origin,
    notice,
  };
}

async function writeFailures(ports: BatchesPorts, facts: BatchFacts): Promise<BatchSummary['failures']> {
  if (facts.failures.length === 0) return [];
  const parts = await ports.engine.query(
    (state) => state.batches.get(facts.batchId)?.parts.map(({ specHash }) => ({ specHash })) ?? [],
  );
  const naming = await ports.specs.naming(parts);
  return facts.failures.map(({ example, ...failure }) => ({ ...failure, exampleJob: naming(example).name }));
}
