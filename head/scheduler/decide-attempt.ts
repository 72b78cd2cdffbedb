import { type Refusal, refused } from '../../base/errors.ts';
import { attemptId, type NodeId } from '../../base/ids.ts';
import type { Attempt, AttemptRef } from './attempt.ts';
import type { Command, Verdict } from './command.ts';
import { buildIsExhausted } from './decide-node.ts';
import type { Event, ProgressPhase, Requeued } from './event.ts';
import { holdAfter } from './holding.ts';
import { rowState } from './job-rows.ts';
import { mayLoseAnother } from './losses.ts';
import { judge } from './quarantine.ts';
import { findQueue } from './queue.ts';
import type { Batch, ClusterState } from './state.ts';
import { hasOther, isProven } from './trial.ts';

type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

/** An attempt has come further. News that is older than what is known changes nothing. */
export function decideProgress(state: ClusterState, command: CommandOf<'progress-attempt'>, nowMs: number): Verdict {
  const attempt = current(state, command.nodeId, command.attempt);
  if (attempt.kind === 'refused') return attempt;
  const events = readopt(attempt);
  if (attempt.phase.kind === 'paused' && command.phase === 'running')
    events.push({ kind: 'attempt-resumed', attempt: command.attempt });
  else if (command.phase !== 'assigned' && isFurther(attempt.phase.kind, command.phase)) {
    const toldMs = command.startedMsAgo === undefined ? undefined : nowMs - command.startedMsAgo;
    // It has started once: what is said of that later has other delays in it.
    const startedAtMs = ('startedAtMs' in attempt.phase ? attempt.phase.startedAtMs : undefined) ?? toldMs;
    events.push({ kind: 'attempt-progressed', attempt: command.attempt, phase: command.phase, startedAtMs });
  }
  return { kind: 'accepted', events };
}

/** An attempt is given back unstarted. If its build has failed wherever it could run, the job fails. */
export function decideReturn(state: ClusterState, command: CommandOf<'return-attempt'>): Verdict {
  const attempt = current(state, command.nodeId, command.attempt);
  if (attempt.kind === 'refused') return attempt;
  const { reason, message, attempt: ref } = command;
  const events: Event[] = [{ kind: 'attempt-returned', attempt: ref, reason, message }];
  const batch = state.batches.get(ref.batchId);
  const part = batch?.parts[batch.rows.part[ref.index] ?? -1];
  if (
    part &&
    (!attempt.cancelling || attempt.requeueing) &&
    reason === 'build-failed' &&
    buildIsExhausted(state, part.buildDigest, undefined)
  ) {
    events.push({ kind: 'jobs-failed', batchId: ref.batchId, jobs: [ref.index, 1], reason: 'build-failed', message });
  }
  return { kind: 'accepted', events };
}

/** An attempt died with its machine or its supervisor. That is not the job's fault, but it does not start for ever. */
export function decideLost(state: ClusterState, command: CommandOf<'lose-attempt'>): Verdict {
  const attempt = current(state, command.nodeId, command.attempt);
  if (attempt.kind === 'refused') return attempt;
  const batch = state.batches.get(command.attempt.batchId);
  const requeued = attempt.requeueing || (!attempt.cancelling && mayLoseAnother(batch, command.attempt.index));
  return {
    kind: 'accepted',
    events: [{ kind: 'attempt-lost', attempt: command.attempt, message: command.message, requeued }],
  };
}

/** Everything of an attempt is staged: the end of it, and perhaps the beginning of a retry. Repeatable. */
export function decideArchive(state: ClusterState, command: CommandOf<'archive-staged'>, nowMs: number): Verdict {
  const { attempt: ref, outcome } = command;
  const batch = state.batches.get(ref.batchId);
  if (batch && hasEnded(batch, ref)) return { kind: 'accepted', events: [] };
  const attempt = current(state, command.nodeId, ref);
  if (attempt.kind === 'refused') return attempt;
  const hasFailed = batch !== undefined && outcome.state === 'failed' && !attempt.cancelling;
  // One that had succeeded before it was stopped has succeeded.
  const asked = attempt.requeueing && outcome.state !== 'succeeded' ? 'asked' : undefined;
  const requeued = asked ?? (hasFailed ? whyAgain(state, batch, attempt) : undefined);
  const accepted: Event = {
    kind: 'archive-accepted',
    attempt: ref,
    outcome,
    manifestHash: command.manifestHash,
    startedAtMs: command.startedMsAgo === undefined ? undefined : nowMs - command.startedMsAgo,
    endedAtMs: nowMs - command.endedMsAgo,
    pausedMs: command.pausedMs,
    requeued,
    inline: command.inline,
  };
  const judged = batch === undefined || attempt.cancelling ? [] : judge(state, batch, attempt, outcome, nowMs);
  const held = hasFailed && requeued === undefined ? holdAfter(state, batch, attempt) : [];
  return { kind: 'accepted', events: [accepted, ...judged, ...onlyNew(held, judged)] };
}

/** What of the later events the earlier do not say already: an attempt is asked back once. */
function onlyNew(later: readonly Event[], earlier: readonly Event[]): Event[] {
  const said = new Set(earlier.map((event) => JSON.stringify(event)));
  return later.filter((event) => !said.has(JSON.stringify(event)));
}

/**
 * Why a job that failed is tried again, or nothing. A failure where no attempt of its batch has succeeded may be the
 * machine's: the first is tried once elsewhere, if there is an elsewhere, beside the job's own retries.
 */
function whyAgain(state: ClusterState, batch: Batch, { ref, nodeId }: Attempt): Requeued | undefined {
  const queue = findQueue(batch.queues, batch.rows, ref.index);
  if (!queue) return undefined;
  const first = !batch.secondTries.has(ref.index) && !isProven(batch, nodeId);
  if (first && hasOther(state.nodes.values(), batch, queue, nodeId, ref.index)) return 'elsewhere';
  return (batch.rows.retriesUsed[ref.index] ?? 0) < queue.retries ? 'retry' : undefined;
}

/** The live attempt that a report speaks of, or why the report is not believed. This is the fence. */
export function current(
  state: ClusterState,
  nodeId: NodeId,
  ref: AttemptRef,
): (Attempt & { readonly kind?: never }) | Refusal {
  const attempt = state.attempts.get(attemptId(ref, ref.attempt));
  if (attempt && attempt.nodeId === nodeId) return attempt;
  return refused(
    'stale',
    `Cannot take news of attempt ${ref.attempt} of job ${ref.index}: it is not the current one of that node`,
  );
}

/** Whether this very attempt was the job's last and its archive is accepted. */
export function hasEnded(batch: Batch, ref: AttemptRef): boolean {
  if (ref.index >= batch.rows.count || (batch.rows.attempts[ref.index] ?? 0) < ref.attempt) return false;
  return (batch.rows.attempts[ref.index] ?? 0) === ref.attempt && rowState(batch.rows, ref.index) !== 'live';
}

function readopt(attempt: Attempt): Event[] {
  return attempt.lapsedSinceMs === undefined ? [] : [{ kind: 'attempt-readopted', attempt: attempt.ref }];
}

/** One that is paused goes on with `attempt-resumed`. */
const order: readonly string[] = ['assigned', 'staging', 'building', 'running', 'paused', 'archiving'];

function isFurther(from: string, to: ProgressPhase): boolean {
  return order.indexOf(to) > order.indexOf(from);
}
