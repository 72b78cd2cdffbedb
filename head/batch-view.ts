import type { BatchId } from '../base/ids.ts';
import { jobStates } from '../config/job-states.ts';
import { attemptState, type JobState } from './job-view.ts';
import type { Attempt } from './scheduler/attempt.ts';
import type { EndState } from './scheduler/event.ts';
import { type Batch, type ClusterState, failureReasons, type Retired, rowStates } from './scheduler/state.ts';

/** A batch as people see it, but for the names of its jobs, which only its spec knows. */
export interface BatchFacts {
  readonly batchId: BatchId;
  readonly namespace: string;
  readonly name: string;
  readonly state: 'queued' | 'running' | 'held' | EndState;
  /** Every state is named. */
  readonly counts: Readonly<Record<JobState, number>>;
  readonly submittedBy: string;
  readonly submittedAtMs: number;
  readonly endedAtMs: number | undefined;
  /** Who has deleted its results. */
  readonly deleted: { readonly by: string; readonly atMs: number } | undefined;
  /** Most jobs first. */
  readonly failures: readonly FailureFacts[];
  readonly maxRunning: number;
  readonly buildFailures: readonly { readonly node: string; readonly message: string }[];
  /** What its owner should know; empty: nothing. */
  readonly notice: string;
  readonly origin: 'labrun' | 'distribute';
}

/** Jobs that failed alike. */
export interface FailureFacts {
  readonly reason: string;
  readonly message: string;
  readonly jobs: number;
  readonly example: { readonly index: number; readonly part: number; readonly specIndex: number };
}

/** Kinds of failure told apart in one summary; those with fewest jobs are left out. */
const failuresMax = 50;
/** Kinds counted before the rest is left out. */
const kindsMax = 2_000;

/** Live attempts by their batch, so that a page of summaries looks at each only once. */
export function liveByBatch(state: ClusterState): ReadonlyMap<BatchId, readonly Attempt[]> {
  const live = new Map<BatchId, Attempt[]>();
  for (const attempt of state.attempts.values()) {
    const own = live.get(attempt.ref.batchId);
    if (own) own.push(attempt);
    else live.set(attempt.ref.batchId, [attempt]);
  }
  return live;
}

/** One batch, counted. */
export function viewBatch(state: ClusterState, batch: Batch, live: readonly Attempt[]): BatchFacts {
  const counts = emptyCounts();
  const { live: _live, ...waitingAndEnded } = batch.rows.counts;
  Object.assign(counts, waitingAndEnded);
  for (const attempt of live) counts[attemptState(state, attempt)] += 1;
  return {
    batchId: batch.id,
    namespace: batch.namespace,
    name: batch.name,
    state: batch.ended?.state ?? stateOf(batch, live),
    counts,
    submittedBy: batch.submittedBy.name,
    submittedAtMs: batch.submittedAtMs,
    endedAtMs: batch.ended?.atMs,
    deleted: batch.deleted && { by: batch.deleted.by.name, atMs: batch.deleted.atMs },
    failures: batch.rows.counts.failed > 0 ? failuresOf(batch) : [],
    maxRunning: batch.maxRunning,
    buildFailures: buildFailuresOf(state, batch),
    notice: batch.held,
    origin: batch.origin,
  };
}

/** A retired batch, but for how its jobs failed, which only its archive knows. */
export function viewRetired(batch: Retired): BatchFacts {
  const { id, namespace, name, ended, counts, submittedBy, submittedAtMs, deleted, origin } = batch;
  return {
    ...{ batchId: id, namespace, name, state: ended.state, counts: { ...emptyCounts(), ...counts } },
    ...{ submittedBy: submittedBy.name, submittedAtMs, endedAtMs: ended.atMs, origin },
    deleted: deleted && { by: deleted.by.name, atMs: deleted.atMs },
    ...{ failures: [], maxRunning: 0, buildFailures: [], notice: '' },
  };
}

function emptyCounts(): Record<JobState, number> {
  return Object.fromEntries(jobStates.map((name) => [name, 0])) as Record<JobState, number>; // every state is in the list
}

function stateOf(batch: Batch, live: readonly Attempt[]): 'queued' | 'running' | 'held' {
  if (live.some(({ phase }) => phase.kind !== 'assigned')) return 'running';
  const { queued, held } = batch.rows.counts;
  return held > 0 && queued === 0 && live.length === 0 ? 'held' : 'queued';
}

/** Failures, gathered by reason and sentence. */
export class FailureGroups {
  readonly #groups = new Map<string, Mutable<FailureFacts>>();

  /** Counts one; true when it is the first of its kind. */
  add(reason: string, message: string, example: FailureFacts['example']): boolean {
    const key = `${reason}\n${message}`;
    const group = this.#groups.get(key);
    if (group) group.jobs += 1;
    if (group || this.#groups.size >= kindsMax) return false;
    this.#groups.set(key, { reason, message, jobs: 1, example });
    return true;
  }

  /** Most jobs first. */
  list(): FailureFacts[] {
    return [...this.#groups.values()].sort((a, b) => b.jobs - a.jobs).slice(0, failuresMax);
  }
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

function failuresOf({ rows }: Batch): FailureFacts[] {
  const failed = rowStates.indexOf('failed');
  const groups = new FailureGroups();
  for (let index = 0; index < rows.count; index++) {
    if (rows.state[index] !== failed) continue;
    const example = { index, part: rows.part[index] ?? 0, specIndex: rows.specIndex[index] ?? 0 };
    groups.add(failureReasons[(rows.reason[index] ?? 0) - 1] ?? '', rows.messages.get(index) ?? '', example);
  }
  return groups.list();
}

function buildFailuresOf(state: ClusterState, batch: Batch): { node: string; message: string }[] {
  const digests = new Set(batch.parts.map(({ buildDigest }) => buildDigest).filter((digest) => digest !== ''));
  if (digests.size === 0) return [];
  return [...state.nodes.values()].flatMap((node) =>
    [...digests].flatMap((digest) => {
      const failure = node.failedBuilds.get(digest);
      return failure ? [{ node: node.name, message: failure.message }] : [];
    }),
  );
}
