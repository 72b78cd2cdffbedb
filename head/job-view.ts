import { attemptId } from '../base/ids.ts';
import type { Attempt } from './scheduler/attempt.ts';
import type { FailureReason } from './scheduler/event.ts';
import { type Batch, type ClusterState, failureReasons, rowStates } from './scheduler/state.ts';
import { doingText } from './scheduler/yielding.ts';
import type { SpecPlace } from './specs.ts';

/** What people see a job do. */
export type JobState = Exclude<(typeof rowStates)[number], 'live'> | Attempt['phase']['kind'] | 'cancelling' | 'lapsed';

/** A job as people see it, but for its name and parameters, which only its spec knows. */
export interface JobFacts extends SpecPlace {
  readonly index: number;
  readonly state: JobState;
  readonly node: string;
  readonly attempt: number;
  readonly reason: FailureReason | undefined;
  readonly message: string;
  readonly exitCode: number | undefined;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  /** For how long in all its attempt was paused, but for the pause that goes on, and since when that does. */
  readonly pausedMs: number;
  readonly pausedSinceMs: number | undefined;
}

/** Puts a job together from its row and, while it lives, its attempt. */
export function viewJob(state: ClusterState, batch: Batch, index: number): JobFacts {
  const { rows } = batch;
  const number = rows.attempts[index] ?? 0;
  const live = jobState(state, batch, index);
  const nodeId = rows.nodeIds[(rows.node[index] ?? 0) - 1];
  const attempt = state.attempts.get(attemptId({ batchId: batch.id, index }, number));
  const on = attempt?.nodeId ?? nodeId;
  const exitCode = rows.exitCode[index] ?? -1;
  const phase = attempt?.phase;
  const startedAtMs = phase && 'startedAtMs' in phase ? phase.startedAtMs : secondsAt(rows.startedS[index]);
  return {
    index,
    state: live,
    node: on === undefined ? '' : (state.nodes.get(on)?.name ?? state.access.formerNodes.get(on) ?? ''),
    attempt: number,
    reason: failureReasons[(rows.reason[index] ?? 0) - 1],
    message: live === 'paused' ? pausedText(state, attempt) : (rows.messages.get(index) ?? ''),
    exitCode: exitCode < 0 ? undefined : exitCode,
    startedAtMs,
    finishedAtMs: secondsAt(rows.endedS[index]),
    pausedMs: attempt?.pausedMs ?? rows.pausedMs.get(index) ?? 0,
    pausedSinceMs: live === 'paused' ? pausedSince(state, attempt) : undefined,
    part: rows.part[index] ?? 0,
    specIndex: rows.specIndex[index] ?? 0,
  };
}

/** Only the state of a job: what filters and counts need. */
export function jobState(state: ClusterState, batch: Batch, index: number): JobState {
  const row = rowStates[batch.rows.state[index] ?? 0] ?? 'queued';
  if (row !== 'live') return row;
  const number = batch.rows.attempts[index] ?? 0;
  const attempt = state.attempts.get(attemptId({ batchId: batch.id, index }, number));
  return attempt ? attemptState(state, attempt) : 'assigned';
}

/** What an attempt makes its job look like. On a machine that sleeps nothing runs, whoever stopped it. */
export function attemptState(state: ClusterState, attempt: Attempt): JobState {
  if (attempt.lapsedSinceMs !== undefined) return 'lapsed';
  const isRunning = attempt.phase.kind === 'running' && !attempt.cancelling;
  if (isRunning && state.nodes.get(attempt.nodeId)?.yielding?.cause === 'asleep') return 'paused';
  return attempt.cancelling ? 'cancelling' : attempt.phase.kind;
}

/** Who has paused a job, and until when. */
function pausedText(state: ClusterState, attempt: Attempt | undefined): string {
  const node = attempt && state.nodes.get(attempt.nodeId);
  const doing = node?.yielding && doingText(node.yielding);
  return doing === undefined ? '' : `${node?.name} ${doing}`;
}

/** On a machine that sleeps it is that since when it does. */
function pausedSince(state: ClusterState, attempt: Attempt | undefined): number | undefined {
  if (attempt?.phase.kind === 'paused') return attempt.sinceMs;
  return attempt && state.nodes.get(attempt.nodeId)?.yielding?.sinceMs;
}

function secondsAt(seconds: number | undefined): number | undefined {
  return seconds ? seconds * 1000 : undefined;
}
