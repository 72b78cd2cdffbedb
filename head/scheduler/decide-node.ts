import { refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import { nameKey } from '../../base/names.ts';
import { sameCapabilities } from './apply-node.ts';
import type { Command, Verdict } from './command.ts';
import { gaveUp } from './decide-batch.ts';
import { findAttempts } from './decide-found.ts';
import { yieldEvents } from './decide-yield.ts';
import type { Event, NodeFacts } from './event.ts';
import { suits } from './fit.ts';
import { rangesOf } from './job-ranges.ts';
import { rowState } from './job-rows.ts';
import { lapsesAtMs } from './lease.ts';
import { buildExclusionMs, buildFailuresMax, buildsPerNodeMax } from './limits.ts';
import { outlived } from './quarantine.ts';
import { recallUnbegun } from './recall.ts';
import type { Batch, ClusterState } from './state.ts';

type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

/** A node says hello. Its name must not be that of another node that is here. */
export function decideConnect(state: ClusterState, command: CommandOf<'connect-node'>, nowMs: number): Verdict {
  const { kind: _kind, held = [], yielding, ...facts } = command;
  for (const node of state.nodes.values()) {
    if (node.id !== command.nodeId && node.connected && nameKey(node.name) === nameKey(command.name)) {
      return refused(
        'conflict',
        `Cannot connect node "${command.name}": another connected node has that name; start this agent with another --name`,
      );
    }
  }
  return {
    kind: 'accepted',
    events: [
      { kind: 'node-connected', ...facts },
      ...freeIfChanged(state, facts.nodeId, facts.facts),
      ...yieldEvents(state, facts.nodeId, yielding, nowMs),
      ...findAttempts(state, facts, held, nowMs),
    ],
  };
}

/** A machine that offers something else now is not the one that failed: it gets jobs again. */
export function freeIfChanged(state: ClusterState, nodeId: NodeId, facts: NodeFacts): Event[] {
  const node = state.nodes.get(nodeId);
  if (!node?.quarantine || sameCapabilities(node.facts, facts)) return [];
  return [{ kind: 'node-freed', nodeId, reason: 'what it offers has changed' }];
}

/** A node tells how a build went. A failure everywhere it could run fails the jobs that wait for it. */
export function decideBuild(state: ClusterState, command: CommandOf<'report-build'>): Verdict {
  const { nodeId, digest, message } = command;
  const node = state.nodes.get(nodeId);
  if (!node) return refused('not-found', `Cannot note a build of node "${nodeId}": it has never said hello`);
  const isNew = command.state !== 'gone' && !node.builds.has(digest) && !node.failedBuilds.has(digest);
  if (isNew && node.builds.size + node.failedBuilds.size >= buildsPerNodeMax) {
    return refused('limit', `Cannot note a build of node "${node.name}": it has told of ${buildsPerNodeMax} already`);
  }
  if (command.state === 'ready')
    return { kind: 'accepted', events: node.builds.has(digest) ? [] : [{ kind: 'build-ready', nodeId, digest }] };
  if (command.state === 'gone')
    return { kind: 'accepted', events: node.builds.has(digest) ? [{ kind: 'build-forgotten', nodeId, digest }] : [] };
  const events: Event[] = [{ kind: 'build-failed', nodeId, digest, message }];
  if (buildIsExhausted(state, digest, nodeId)) {
    for (const batch of state.batches.values()) events.push(...failWaiting(batch, digest, message));
  }
  return { kind: 'accepted', events };
}

/** A node says that it cannot take jobs now, or can again. What it has not begun is asked back. */
export function decideTrouble(state: ClusterState, { nodeId, trouble }: CommandOf<'trouble-node'>): Verdict {
  const node = state.nodes.get(nodeId);
  if (!node) return refused('not-found', `Cannot note what troubles node "${nodeId}": it has never said hello`);
  if (node.trouble === trouble) return { kind: 'accepted', events: [] };
  const told: Event = { kind: 'node-troubled', nodeId, trouble };
  return { kind: 'accepted', events: trouble === '' ? [told] : [told, ...recallUnbegun(state, node)] };
}

/** Time has passed: silent nodes' attempts lapse, and builds that failed long ago may be tried again. */
export function decideTick(state: ClusterState, nowMs: number): Verdict {
  const events: Event[] = [];
  for (const node of state.nodes.values()) {
    for (const [digest, failure] of node.failedBuilds) {
      if (failure.atMs + buildExclusionMs <= nowMs) events.push({ kind: 'build-forgotten', nodeId: node.id, digest });
    }
    const enoughMs = outlived(state, node);
    if (enoughMs !== undefined && enoughMs <= nowMs)
      events.push({ kind: 'node-freed', nodeId: node.id, reason: 'a job has run there for long enough' });
    if (node.connected) continue;
    for (const id of node.attempts) {
      const attempt = state.attempts.get(id);
      if (!attempt || attempt.lapsedSinceMs !== undefined || lapsesAtMs(node, attempt) > nowMs) continue;
      events.push(attempt.cancelling ? gaveUp(attempt) : { kind: 'attempt-lapsed', attempt: attempt.ref });
    }
  }
  return { kind: 'accepted', events };
}

/** Whether a build has failed on enough nodes (`justFailed` among them) that no other is asked. */
export function buildIsExhausted(state: ClusterState, digest: string, justFailed: NodeId | undefined): boolean {
  const nodes = [...state.nodes.values()];
  const failed = nodes.filter((node) => node.id === justFailed || node.failedBuilds.has(digest));
  if (failed.length >= buildFailuresMax) return true;
  const others = nodes.filter((node) => !failed.includes(node));
  for (const batch of state.batches.values()) {
    for (const queue of batch.queues) {
      const part = batch.parts[queue.part];
      if (part?.buildDigest === digest && others.some((node) => suits(part, queue.needs, node).kind === 'fits'))
        return false;
    }
  }
  return true;
}

function failWaiting(batch: Batch, digest: string, message: string): Event[] {
  const waiting: number[] = [];
  const parts = new Set(batch.parts.flatMap((part, at) => (part.buildDigest === digest ? [at] : [])));
  if (parts.size === 0) return [];
  for (let index = 0; index < batch.rows.count; index++) {
    const state = rowState(batch.rows, index);
    if ((state === 'queued' || state === 'held') && parts.has(batch.rows.part[index] ?? -1)) waiting.push(index);
  }
  if (waiting.length === 0) return [];
  return [{ kind: 'jobs-failed', batchId: batch.id, jobs: rangesOf(waiting), reason: 'build-failed', message }];
}
