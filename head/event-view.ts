import { unreachable } from '../base/assert.ts';
import type { BatchId, NodeId } from '../base/ids.ts';
import type { AttemptRef } from './scheduler/attempt.ts';
import type { Event } from './scheduler/event.ts';
import { countIn } from './scheduler/job-ranges.ts';

/** An event as people and scripts read it, but for the names behind its ids. Kinds: docs/events.md. */
export interface EventFacts {
  readonly kind: string;
  readonly batchId?: BatchId;
  readonly attempt?: AttemptRef;
  readonly nodeId?: NodeId;
  readonly message: string;
  readonly facts: Readonly<Record<string, string>>;
}

/** What an internal event says to people. The log's own vocabulary is no API; this is. */
export function viewEvent(event: Event): EventFacts {
  switch (event.kind) {
    case 'head-started':
      return say('head-started', `the head ${event.version} started`, { epoch: event.epoch });
    case 'batch-submitted': {
      const jobs = event.groups.reduce((sum, { count }) => sum + count, 0);
      const facts = { jobs, batchId: event.batchId, replaces: event.replaces };
      return { ...say(event.kind, `${jobs} jobs were submitted`, facts), batchId: event.batchId };
    }
    case 'batch-extended': {
      const added = countIn(event.added);
      const message = `${added} jobs were added, ${event.changed.length} changed ones run again`;
      return { ...say(event.kind, message, { added, changed: event.changed.length }), batchId: event.batchId };
    }
    case 'jobs-held':
    case 'jobs-released':
    case 'jobs-cancelled':
    case 'jobs-retried': {
      const jobs = countIn(event.jobs);
      return {
        ...say(event.kind, `${jobs} jobs were ${event.kind.slice('jobs-'.length)}`, { jobs }),
        batchId: event.batchId,
      };
    }
    case 'jobs-failed': {
      const jobs = countIn(event.jobs);
      const message = `${jobs} jobs failed: ${event.message || event.reason}`;
      return { ...say(event.kind, message, { jobs, reason: event.reason }), batchId: event.batchId };
    }
    case 'batch-ended':
      return { ...say(event.kind, `the batch ${event.state}`, { state: event.state }), batchId: event.batchId };
    default:
      return viewNodeOrAttempt(event);
  }
}

type NodeOrAttempt = Exclude<
  Event,
  { kind: 'head-started' | 'batch-submitted' | 'batch-extended' | 'batch-ended' | `jobs-${string}` }
>;

function viewNodeOrAttempt(event: NodeOrAttempt): EventFacts {
  switch (event.kind) {
    case 'node-connected':
      return {
        ...say(event.kind, `connected with labrun ${event.version}`, { version: event.version }),
        nodeId: event.nodeId,
      };
    case 'node-disconnected':
      return { ...say(event.kind, 'the connection ended', {}), nodeId: event.nodeId };
    case 'node-changed':
      return { ...say(event.kind, 'what it offers has changed', {}), nodeId: event.nodeId };
    case 'build-ready':
      return { ...say(event.kind, 'a build is ready', { build: event.digest }), nodeId: event.nodeId };
    case 'build-failed':
      return { ...say(event.kind, `a build failed: ${event.message}`, { build: event.digest }), nodeId: event.nodeId };
    case 'build-forgotten': {
      const view = say(event.kind, 'a build may be tried again', { build: event.digest });
      return event.nodeId === undefined ? view : { ...view, nodeId: event.nodeId };
    }
    default:
      return { ...viewAttempt(event), batchId: event.attempt.batchId, attempt: event.attempt };
  }
}

type AttemptEvent = Extract<NodeOrAttempt, { attempt: AttemptRef }>;

function viewAttempt(event: AttemptEvent): EventFacts {
  switch (event.kind) {
    case 'attempt-assigned':
      return {
        ...say('job-assigned', `assigned, with ${event.cpus} cpus`, { cpus: event.cpus }),
        nodeId: event.nodeId,
      };
    case 'attempt-recalled':
      return say('job-recalled', 'asked back, to run elsewhere', {});
    case 'attempt-returned':
      return say('job-returned', `given back: ${event.message || event.reason}`, { reason: event.reason });
    case 'attempt-progressed':
      return event.phase === 'running'
        ? say('job-started', 'its processes were started', { startedAtMs: event.startedAtMs })
        : say(`job-${event.phase}`, `it is ${event.phase}`, {});
    case 'attempt-cancelling':
      return say('job-cancelling', 'it is being stopped', {});
    case 'attempt-lapsed':
      return say('job-lapsed', 'its node has been silent too long: it may start elsewhere', {});
    case 'attempt-readopted':
      return say('job-readopted', 'its node is back, and so is it', {});
    case 'attempt-lost':
      return say('job-lost', `lost: ${event.message}`, { requeued: event.requeued });
    case 'archive-accepted': {
      const { state, reason, message, exitCode, signal, ranMs } = event.outcome;
      const facts = { state, reason, exitCode, signal, ranMs, requeued: event.requeued };
      const again = event.requeued ? '; it is tried again' : '';
      return say('job-finished', `${state}${message === '' ? '' : `: ${message}`}${again}`, facts);
    }
    default:
      return unreachable(event);
  }
}

function say(kind: string, message: string, facts: Readonly<Record<string, unknown>>): EventFacts {
  const told = Object.entries(facts).filter(([, value]) => value !== undefined);
  return { kind, message, facts: Object.fromEntries(told.map(([key, value]) => [key, String(value)])) };
}
