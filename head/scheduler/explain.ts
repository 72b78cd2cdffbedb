import { attemptId, type BatchId } from '../../base/ids.ts';
import type { Needs } from '../../config/spec.ts';
import type { Submission } from './event.ts';
import { coresTaken, type Fit, fits, suits } from './fit.ts';
import { rowNode, rowReason, rowState } from './job-rows.ts';
import { lossesMax } from './limits.ts';
import { mayLoseAnother } from './losses.ts';
import { settlesUntilMs } from './numbers.ts';
import { findQueue } from './queue.ts';
import { coresByPerson, fullness, openBatches, roomIn } from './rank.ts';
import type { Batch, ClusterState, Node } from './state.ts';
import { heldBack, liveByNode, shortage, triedElsewhere } from './trial.ts';
import { doingText } from './yielding.ts';

/** Why a job is where it is: one sentence, and every node's verdict by the filters that placement uses. */
export interface Explanation {
  readonly summary: string;
  readonly nodes: readonly { readonly node: string; readonly fits: boolean; readonly reason: string }[];
}

/** Explains one job. */
export function explain(state: ClusterState, batch: Batch, index: number, nowMs: number): Explanation {
  const part = batch.parts[batch.rows.part[index] ?? -1];
  const queue = findQueue(batch.queues, batch.rows, index);
  if (!part || !queue) return { summary: 'The job is gone', nodes: [] };
  const live = liveByNode(state).get(batch.id);
  const elsewhere = triedElsewhere(state, batch);
  const verdict = (node: Node): Fit => {
    const fit = fits(part, queue.needs, node, coresTaken(state, node), nowMs);
    const back =
      fit.kind === 'never'
        ? undefined
        : (shortage(node, batch.id, nowMs) ??
          heldBack(state, batch, queue, node, {
            index,
            onTrial: live?.get(node.id) ?? 0,
            elsewhere: elsewhere.get(node.id) ?? 0,
          }));
    return back === undefined ? fit : { kind: 'later', reason: back };
  };
  const nodes = [...state.nodes.values()].map((node) => {
    const fit = verdict(node);
    return {
      node: node.name,
      fits: fit.kind === 'fits',
      reason: reasonOf(fit),
    };
  });
  const settles = rowState(batch.rows, index) === 'queued' && settlesUntilMs(state, nowMs) !== undefined;
  return { summary: settles ? settling : summaryOf(state, batch, index, part, queue.needs, verdict), nodes };
}

/** What there is to say of a job whose batch has no jobs in the head's memory. */
export function explainGone(state: ClusterState, batchId: BatchId): string {
  const retired = state.retired.get(batchId);
  if (!retired) return 'The batch is gone';
  const ended = new Date(retired.ended.atMs).toISOString();
  return `The batch ${retired.ended.state} on ${ended}; its jobs are kept in the archive alone`;
}

const settling =
  'Waits: the head was restored, or has lost the end of its log, and hears first what every node runs; a minute at most';

/**
 * Why no node that is known could ever run jobs with these needs, or nothing. Said at submit: the batch then waits for a
 * node that can.
 */
export function nobodySuits(state: ClusterState, part: Submission, needs: Needs): string | undefined {
  const nodes = [...state.nodes.values()];
  if (nodes.length === 0) return 'no node has connected yet';
  const reasons = nodes.map((node) => ({ node, fit: suits(part, needs, node) }));
  if (reasons.some(({ fit }) => fit.kind === 'fits')) return undefined;
  return `no node can run them: ${reasons.map(({ node, fit }) => `${node.name} ${fit.kind === 'fits' ? '' : fit.reason}`).join('; ')}`;
}

function summaryOf(
  state: ClusterState,
  batch: Batch,
  index: number,
  part: Submission,
  needs: Needs,
  verdict: (node: Node) => Fit,
): string {
  const row = rowState(batch.rows, index);
  switch (row) {
    case 'held':
      return `Held: ${batch.held === '' ? '' : `${batch.held}; `}\`labrun release ${batch.namespace}/${batch.name}\` lets it wait for a node again`;
    case 'live':
      return whereItLives(state, batch, index);
    case 'queued':
      return waitsFor(state, batch, part, needs, verdict);
    case 'failed':
      return `Failed (${rowReason(batch.rows, index) ?? 'exit'}): ${batch.rows.messages.get(index) ?? 'its log says more'}`;
    default:
      return row === 'succeeded' ? 'Succeeded' : 'Cancelled';
  }
}

function whereItLives(state: ClusterState, batch: Batch, index: number): string {
  const ref = { batchId: batch.id, index };
  const attempt = state.attempts.get(attemptId(ref, batch.rows.attempts[index] ?? 0));
  const nodeId = rowNode(batch.rows, index);
  const name = (nodeId && state.nodes.get(nodeId)?.name) ?? 'a node';
  if (!attempt) return `On ${name}`;
  if (attempt.lapsedSinceMs !== undefined) {
    const silent = `On ${name}, which has been silent for too long`;
    if (attempt.phase.kind === 'assigned' || mayLoseAnother(batch, index))
      return `${silent}; it starts elsewhere when there is room`;
    return `${silent}; attempts of it were lost ${lossesMax - 1} times before, so it waits for that node; "labrun requeue" lets it start elsewhere`;
  }
  if (attempt.requeueing) return `Being stopped on ${name}; it waits again then`;
  if (attempt.cancelling) return `Being cancelled on ${name}`;
  const yielding = state.nodes.get(attempt.nodeId)?.yielding;
  const doing = yielding && doingText(yielding);
  const sleeps = attempt.phase.kind === 'running' && yielding?.cause === 'asleep';
  if (attempt.phase.kind === 'paused' || sleeps)
    return `Paused${doing === undefined ? ` on ${name}` : `: ${name} ${doing}`}; it goes on by itself`;
  if (attempt.phase.kind === 'running' && doing !== undefined) return `On ${name}: running; ${name} ${doing}`;
  if (attempt.phase.kind === 'assigned') return `Assigned to ${name}, which starts it as soon as its cores are free`;
  return `On ${name}: ${attempt.phase.kind}`;
}

function reasonOf(fit: Fit): string {
  return fit.kind === 'fits' ? 'could start it now' : fit.reason;
}

/** Who is served before this batch's owner, because they have fewer cores in use. */
function othersFirst(state: ClusterState, batch: Batch): string {
  const cores = coresByPerson(state);
  const mine = cores.get(batch.submittedBy.name) ?? 0;
  const waiting = new Map<string, number>();
  for (const other of openBatches(state)) {
    const person = other.submittedBy.name;
    if (person !== batch.submittedBy.name && (cores.get(person) ?? 0) < mine)
      waiting.set(person, (waiting.get(person) ?? 0) + other.rows.counts.queued);
  }
  const [first] = waiting;
  if (first === undefined) return '';
  return `jobs of ${first[0]} come first: ${cores.get(first[0]) ?? 0} cpus in use, ${batch.submittedBy.name} has ${mine}`;
}

function waitsFor(
  state: ClusterState,
  batch: Batch,
  part: Submission,
  needs: Needs,
  verdict: (node: Node) => Fit,
): string {
  const impossible = nobodySuits(state, part, needs);
  if (impossible !== undefined) return `Waits: ${impossible}`;
  const full = fullness(state, batch.namespace);
  if (full !== undefined) return `Waits: ${full}`;
  if (roomIn(batch) <= 0)
    return `Waits: ${batch.rows.counts.live} jobs of its batch run, and maxRunning is ${batch.maxRunning}`;
  const nodes = [...state.nodes.values()];
  const free = nodes.filter((node) => verdict(node).kind === 'fits');
  if (free.length > 0) return `Waits for its turn: ${free.map((node) => node.name).join(', ')} could start it now`;
  const suitable = nodes.filter((node) => suits(part, needs, node).kind === 'fits');
  if (suitable.every((node) => !node.connected))
    return `Waits: every node that could run it is away (${suitable.map((node) => node.name).join(', ')})`;
  const reasons = suitable.map((node) => `${node.name} ${reasonOf(verdict(node))}`);
  const first = othersFirst(state, batch);
  return `Waits: ${reasons.join('; ')}${first === '' ? '' : `; ${first}`}`;
}
