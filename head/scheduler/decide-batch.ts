import { refused } from '../../base/errors.ts';
import { attemptId, type BatchId } from '../../base/ids.ts';
import type { Attempt } from './attempt.ts';
import type { Command, Verdict } from './command.ts';
import { batchNameKey } from './draft.ts';
import type { Event } from './event.ts';
import { countIn, indicesIn, type JobRanges, rangesOf } from './job-ranges.ts';
import { rowState } from './job-rows.ts';
import { jobsMax, partsMax } from './limits.ts';
import { fullness } from './rank.ts';
import { knownBatch, refuseGone, specHashOf } from './retired.ts';
import { jobsProblem, shareProblem } from './shares.ts';
import type { Batch, ClusterState, RowState } from './state.ts';

type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

/** A new batch. Repeatable: the same id and spec again changes nothing. */
export function decideSubmit(state: ClusterState, command: CommandOf<'submit'>): Verdict {
  const { submission, namespace, name } = command;
  const same = knownBatch(state, submission.batchId);
  if (same) {
    const repeated = specHashOf(same) === submission.specHash && same.name === name && same.namespace === namespace;
    if (repeated) return { kind: 'accepted', events: [] };
    return refused(
      'conflict',
      `Cannot submit "${namespace}/${name}": its batch id was used for "${same.namespace}/${same.name}"`,
    );
  }
  const jobs = submission.groups.reduce((sum, group) => sum + group.count, 0);
  if (jobs > jobsMax) return tooMany(`${namespace}/${name}`, `${jobs} jobs`, `${jobsMax}`);
  const oldId = state.batchByName.get(batchNameKey(namespace, name));
  const old = oldId && knownBatch(state, oldId);
  const limit = shareProblem(state, command, jobs);
  if (limit) return refused('limit', `Cannot submit "${namespace}/${name}": ${limit}`);
  if (old && !command.replace) {
    return refused(
      'conflict',
      `Cannot submit "${namespace}/${name}": a batch of that name exists; use ${'rows' in old ? '--add, ' : ''}--replace or --name`,
    );
  }
  return {
    kind: 'accepted',
    events: [
      ...(old && 'rows' in old ? cancelAll(state, old) : []),
      ...forgetFailures(state, submission.buildDigest),
      {
        kind: 'batch-submitted',
        ...submission,
        namespace,
        name,
        maxRunning: command.maxRunning,
        maxFailures: command.maxFailures,
        origin: command.origin,
        replaces: old?.id,
      },
    ],
  };
}

/** Jobs added to a batch, and jobs of it that run again with a new spec. */
export function decideExtend(state: ClusterState, command: CommandOf<'extend'>): Verdict {
  const { submission, added, changed } = command;
  const batch = state.batches.get(submission.batchId);
  if (!batch) return refuseGone(state, 'add to the jobs', submission.batchId);
  if (batch.extensions.has(command.extensionId)) return { kind: 'accepted', events: [] };
  if (batch.parts.length !== command.partsSeen) {
    return refused(
      'busy',
      `Cannot add to "${batch.namespace}/${batch.name}": someone else has just added to it; try again`,
    );
  }
  const jobs = batch.rows.count + countIn(added);
  if (jobs > jobsMax) return tooMany(`${batch.namespace}/${batch.name}`, `${jobs} jobs`, `${jobsMax}`);
  if (batch.parts.length >= partsMax)
    return tooMany(`${batch.namespace}/${batch.name}`, `${partsMax + 1} submissions`, `${partsMax}`);
  const again = countIn(added) + changed.length;
  const limit = fullness(state, batch.namespace) ?? jobsProblem(state, batch.submittedBy.name, again);
  if (limit) return refused('limit', `Cannot add to "${batch.namespace}/${batch.name}": ${limit}`);
  const live = changed.filter(([index]) => rowState(batch.rows, index) === 'live').length;
  if (live > 0) {
    return refused(
      'conflict',
      `Cannot run ${live} changed jobs of "${batch.namespace}/${batch.name}" again: they are running; cancel them first, or wait`,
    );
  }
  if (added.length === 0 && changed.length === 0) return { kind: 'accepted', events: [] };
  const event: Event = { kind: 'batch-extended', ...submission, extensionId: command.extensionId, added, changed };
  return { kind: 'accepted', events: [...forgetFailures(state, submission.buildDigest), event] };
}

/** cancel, hold, release and retry: each touches only the jobs in a state that allows it. */
export function decideChange(
  state: ClusterState,
  command: CommandOf<'cancel' | 'hold' | 'release' | 'retry'>,
): Verdict {
  const batch = state.batches.get(command.batchId);
  if (!batch) return refuseGone(state, `${command.kind} jobs`, command.batchId);
  switch (command.kind) {
    case 'cancel':
      return { kind: 'accepted', events: cancelJobs(state, batch, indicesIn(command.jobs)) };
    case 'hold':
      return bulk('jobs-held', batch, command.jobs, ['queued']);
    case 'release':
      return bulk('jobs-released', batch, command.jobs, ['held']);
    case 'retry': {
      const verdict = bulk('jobs-retried', batch, command.jobs, ['failed', 'cancelled', 'succeeded']);
      if (verdict.kind === 'refused' || verdict.events.length === 0) return verdict;
      const digests = new Set(batch.parts.map((part) => part.buildDigest));
      return {
        kind: 'accepted',
        events: [...[...digests].flatMap((digest) => forgetFailures(state, digest)), ...verdict.events],
      };
    }
  }
}

/** The results of a batch that has ended are to go. What is left of jobs that ran again since may be deleted again. */
export function decideDelete(state: ClusterState, batchId: BatchId): Verdict {
  const batch = knownBatch(state, batchId);
  if (!batch) return refused('not-found', 'Cannot delete the results: the batch is gone');
  const { namespace, name, ended, deleted } = batch;
  if (!ended) {
    return refused(
      'conflict',
      `Cannot delete the results of "${namespace}/${name}": it has not ended; first "labrun cancel ${namespace}/${name}", and wait until it has`,
    );
  }
  const isDone = deleted !== undefined && deleted.atMs >= ended.atMs;
  return { kind: 'accepted', events: isDone ? [] : [{ kind: 'batch-deleted', batchId }] };
}

function tooMany(batch: string, has: string, most: string): Verdict {
  return refused(
    'limit',
    `Cannot take "${batch}": it would have ${has}, at most are ${most}; make a batch of the rest`,
  );
}

/** A build that failed may be tried again everywhere. */
function forgetFailures(state: ClusterState, digest: string): Event[] {
  const failed = digest !== '' && [...state.nodes.values()].some((node) => node.failedBuilds.has(digest));
  return failed ? [{ kind: 'build-forgotten', nodeId: undefined, digest }] : [];
}

function bulk(
  kind: 'jobs-held' | 'jobs-released' | 'jobs-retried',
  batch: Batch,
  jobs: JobRanges,
  from: readonly RowState[],
): Verdict {
  const chosen = rangesOf(
    filter(indicesIn(jobs), (index) => index < batch.rows.count && from.includes(rowState(batch.rows, index))),
  );
  const about = { batchId: batch.id, jobs: chosen };
  const event: Event = kind === 'jobs-held' ? { kind, ...about, reason: '' } : { kind, ...about };
  return { kind: 'accepted', events: chosen.length === 0 ? [] : [event] };
}

function cancelAll(state: ClusterState, batch: Batch): Event[] {
  return cancelJobs(state, batch, indicesIn([0, batch.rows.count]));
}

function cancelJobs(state: ClusterState, batch: Batch, indices: Iterable<number>): Event[] {
  const waiting: number[] = [];
  const events: Event[] = [];
  for (const index of indices) {
    if (index >= batch.rows.count) continue;
    const row = rowState(batch.rows, index);
    if (row === 'queued' || row === 'held') waiting.push(index);
    if (row !== 'live') continue;
    const ref = { batchId: batch.id, index, attempt: batch.rows.attempts[index] ?? 0 };
    const attempt = state.attempts.get(attemptId(ref, ref.attempt));
    if (attempt && (!attempt.cancelling || attempt.requeueing))
      events.push({ kind: 'attempt-cancelling', attempt: ref });
    if (attempt?.lapsedSinceMs !== undefined) events.push(gaveUp({ ref, requeueing: false }));
  }
  if (waiting.length > 0) events.unshift({ kind: 'jobs-cancelled', batchId: batch.id, jobs: rangesOf(waiting) });
  return events;
}

/** An attempt that was told to stop, of a node that has been silent past its lease: nobody waits for it any longer. */
export function gaveUp({ ref, requeueing }: Pick<Attempt, 'ref' | 'requeueing'>): Event {
  return {
    kind: 'attempt-lost',
    attempt: ref,
    message: `${requeueing ? 'requeued' : 'cancelled'} while its node had been silent for too long`,
    requeued: requeueing,
  };
}

function* filter(indices: Iterable<number>, keep: (index: number) => boolean): Generator<number> {
  for (const index of indices) if (keep(index)) yield index;
}
