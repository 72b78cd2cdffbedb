import { unreachable } from '../base/assert.ts';
import type { BatchId, NodeId } from '../base/ids.ts';
import { formatDuration } from '../config/units.ts';
import type { AccessEvent } from './scheduler/access-event.ts';
import type { AttemptRef } from './scheduler/attempt.ts';
import type { Event } from './scheduler/event.ts';
import { countIn } from './scheduler/job-ranges.ts';
import { type Yielding, yieldText } from './scheduler/yielding.ts';

/** An event as people and scripts read it, but for the names behind its ids. Kinds: docs/events.md. */
export interface EventFacts {
  readonly kind: string;
  readonly batchId?: BatchId;
  readonly attempt?: AttemptRef;
  readonly nodeId?: NodeId;
  /** For admins: who belongs is not everyone's business. */
  readonly isPrivate?: boolean;
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
    case 'jobs-held': {
      const jobs = countIn(event.jobs);
      const view =
        event.reason === ''
          ? say(event.kind, `${jobs} jobs were held`, { jobs })
          : say('batch-held', `${jobs} jobs are held: ${event.reason}`, { jobs });
      return { ...view, batchId: event.batchId };
    }
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
    case 'jobs-excluded': {
      const jobs = countIn(event.jobs);
      const view = say(event.kind, `${jobs} jobs are kept from it`, { jobs });
      return { ...view, batchId: event.batchId, nodeId: event.nodeId };
    }
    case 'batch-ended':
      return { ...say(event.kind, `the batch ${event.state}`, { state: event.state }), batchId: event.batchId };
    case 'batch-deleted':
      return { ...say(event.kind, 'its results were removed from the archive', {}), batchId: event.batchId };
    case 'batch-retired':
      return { ...say(event.kind, 'its jobs are kept in the archive alone now', {}), batchId: event.batchId };
    case 'archive-searched':
      return say(event.kind, event.message, { found: event.found });
    case 'log-shortened':
      return say(event.kind, event.message, { how: event.how });
    default:
      return viewNodeOrAttempt(event);
  }
}

type NodeOrAttempt = Exclude<
  Event,
  {
    kind:
      | 'head-started'
      | 'batch-submitted'
      | 'batch-extended'
      | 'batch-ended'
      | 'batch-deleted'
      | 'batch-retired'
      | 'archive-searched'
      | 'log-shortened'
      | `jobs-${string}`;
  }
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
    case 'node-quarantined': {
      const again = event.canariesFailed === 0 ? '' : `, and the job that tried it failed (${event.canariesFailed})`;
      const facts = { triedAgainAtMs: event.untilMs, canariesFailed: event.canariesFailed };
      return { ...say(event.kind, `gets no jobs for now: ${event.evidence}${again}`, facts), nodeId: event.nodeId };
    }
    case 'node-freed':
      return { ...say(event.kind, `gets jobs again: ${event.reason}`, {}), nodeId: event.nodeId };
    case 'node-yielded':
      return { ...viewYield(event.yielding), nodeId: event.nodeId };
    case 'node-drained': {
      const reason = event.reason === '' ? '' : `: "${event.reason}"`;
      return { ...say(event.kind, `gets no jobs until it is undrained${reason}`, {}), nodeId: event.nodeId };
    }
    case 'node-undrained':
      return { ...say(event.kind, 'gets jobs again: nobody keeps them from it any more', {}), nodeId: event.nodeId };
    case 'node-troubled': {
      const text = event.trouble === '' ? 'can take jobs again' : `takes no jobs: ${event.trouble}`;
      return { ...say(event.kind, text, {}), nodeId: event.nodeId };
    }
    case 'shell-opened':
    case 'shell-closed':
      return viewShell(event);
    case 'build-ready':
      return { ...say(event.kind, 'a build is ready', { build: event.digest }), nodeId: event.nodeId };
    case 'build-failed':
      return { ...say(event.kind, `a build failed: ${event.message}`, { build: event.digest }), nodeId: event.nodeId };
    case 'build-forgotten': {
      const view = say(event.kind, 'a build may be tried again', { build: event.digest });
      return event.nodeId === undefined ? view : { ...view, nodeId: event.nodeId };
    }
    default:
      if ('attempt' in event) return { ...viewAttempt(event), batchId: event.attempt.batchId, attempt: event.attempt };
      return { ...viewAccess(event), isPrivate: true };
  }
}

/** Everyone who may see the job, or the node, sees who was there. */
function viewShell(event: Extract<Event, { kind: `shell-${string}` }>): EventFacts {
  const { inPlaceOf: attempt, nodeId, shellId: shell } = event;
  const where = attempt ? 'in its place' : 'on it';
  const message = event.kind === 'shell-opened' ? `a terminal ${where}` : `the terminal ${where}: ${event.message}`;
  const view = { ...say(event.kind, message, { shell }), nodeId };
  return attempt ? { ...view, attempt, batchId: attempt.batchId } : view;
}

function viewYield(yielding: Yielding): EventFacts {
  const { step, takesJobs, cause, by, reason, untilMs } = yielding;
  const facts = {
    step,
    takesJobs,
    cause: cause || undefined,
    by: by || undefined,
    reason: reason || undefined,
    untilMs,
  };
  return say('node-yielded', yieldText(yielding) ?? 'gives jobs all it has', facts);
}

/** Names and no secrets: of a token its id alone. */
function viewAccess(event: AccessEvent): EventFacts {
  switch (event.kind) {
    case 'token-created': {
      const { use, tokenId, uses } = event;
      const whom = use.kind === 'node' ? 'a node' : `${use.admin ? 'the admin' : 'the user'} "${use.name}"`;
      return say(event.kind, `made the token ${tokenId} for ${whom}`, { token: tokenId, uses, for: use.kind });
    }
    case 'token-revoked':
      return say(event.kind, `revoked the token ${event.tokenId}`, { token: event.tokenId });
    case 'certificate-issued': {
      const { enrolled, serial, tokenId } = event;
      const how = tokenId === '' ? 'renewed a certificate' : `joined with the token ${tokenId}`;
      const facts = { serial, token: tokenId || undefined, name: enrolled.name };
      const view = say(event.kind, `${enrolled.kind} "${enrolled.name}" ${how}`, facts);
      return enrolled.kind === 'node' ? { ...view, nodeId: enrolled.nodeId } : view;
    }
    case 'user-removed':
      return say(event.kind, `removed the user "${event.name}"`, { user: event.name });
    case 'node-removed':
      return { ...say(event.kind, 'removed a node', {}), nodeId: event.nodeId };
    case 'node-owned': {
      const message = event.owner === '' ? 'a node belongs to nobody now' : `a node belongs to "${event.owner}" now`;
      return { ...say(event.kind, message, { owner: event.owner }), nodeId: event.nodeId };
    }
    case 'namespace-shared': {
      const { namespace, user, shared } = event;
      const message = `"${user}" ${shared ? 'may use' : 'may no longer use'} the namespace "${namespace}"`;
      return say(event.kind, message, { namespace, user });
    }
    case 'namespace-opened': {
      const { namespace, readable } = event;
      const message = `the namespace "${namespace}" may be read by ${readable ? 'every user' : 'its members alone'}`;
      return say(event.kind, message, { namespace });
    }
    case 'namespace-filled': {
      const { namespace, full } = event;
      const message = full === '' ? `the namespace "${namespace}" has room again` : full;
      return say(event.kind, message, { namespace });
    }
    default:
      return unreachable(event);
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
    case 'attempt-discarded':
      return {
        ...say(
          'job-discarded',
          'its node came back with an attempt that is over: nothing more of it is taken, and what is left of it there is stopped and removed',
          {},
        ),
        nodeId: event.nodeId,
      };
    case 'attempt-found':
      return {
        ...say(
          'job-found',
          'its node holds an attempt that the head has no memory of; its number is not used again',
          {},
        ),
        nodeId: event.nodeId,
      };
    case 'archive-found': {
      const { state, reason, exitCode, signal, ranMs } = event.outcome;
      const counts = event.requeued ? 'its job runs again after it, as before' : 'it counts';
      const message = `${state}: the archive has a result of it that the head has no memory of, and ${counts}`;
      const view = say('job-recovered', message, { state, reason, exitCode, signal, ranMs, requeued: event.requeued });
      return event.nodeId === undefined ? view : { ...view, nodeId: event.nodeId };
    }
    case 'attempt-recalled':
      return say('job-recalled', 'asked back, to run elsewhere', {});
    case 'attempt-returned':
      return say('job-returned', `given back: ${event.message || event.reason}`, { reason: event.reason });
    case 'attempt-progressed':
      return event.phase === 'running'
        ? say('job-started', 'its processes were started', { startedAtMs: event.startedAtMs })
        : say(
            `job-${event.phase}`,
            event.phase === 'paused' ? 'its processes are stopped' : `it is ${event.phase}`,
            {},
          );
    case 'attempt-cancelling':
      return say('job-cancelling', 'it is being stopped', {});
    case 'attempt-requeued':
      return say(
        'job-requeued',
        `it is being stopped, and waits again then${event.reason === '' ? '' : `: ${event.reason}`}`,
        event.reason === '' ? {} : { reason: event.reason },
      );
    case 'attempt-resumed':
      return say('job-resumed', 'its processes go on', {});
    case 'attempt-lapsed':
      return say('job-lapsed', 'its node has been silent too long: it may start elsewhere', {});
    case 'attempt-readopted':
      return say('job-readopted', 'its node is back, and so is it', {});
    case 'attempt-lost':
      return say('job-lost', `lost: ${event.message}`, { requeued: event.requeued });
    case 'archive-accepted': {
      const { state, reason, message, exitCode, signal, ranMs } = event.outcome;
      const pausedMs = event.pausedMs > 0 ? event.pausedMs : undefined;
      const facts = { state, reason, exitCode, signal, ranMs, pausedMs, requeued: event.requeued !== undefined };
      const again =
        event.requeued === undefined
          ? ''
          : event.requeued === 'elsewhere'
            ? '; it is tried elsewhere'
            : event.requeued === 'asked'
              ? '; it waits again'
              : '; it is tried again';
      const paused = pausedMs === undefined ? '' : `; it was paused for ${formatDuration(pausedMs)}`;
      return say('job-finished', `${state}${message === '' ? '' : `: ${message}`}${paused}${again}`, facts);
    }
    default:
      return unreachable(event);
  }
}

function say(kind: string, message: string, facts: Readonly<Record<string, unknown>>): EventFacts {
  const told = Object.entries(facts).filter(([, value]) => value !== undefined);
  return { kind, message, facts: Object.fromEntries(told.map(([key, value]) => [key, String(value)])) };
}
