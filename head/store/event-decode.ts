import { assert } from '../../base/assert.ts';
import type * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import type { Event } from '../scheduler/event.ts';
import { leaseMs } from '../scheduler/limits.ts';
import { decodeAccessEvent } from './access-codec.ts';
import { decodeShell } from './shell-codec.ts';
import {
  batchId,
  clusterId,
  decodeFacts,
  decodeOutcome,
  decodeQuarantined,
  decodeSubmission,
  endState,
  jobsOf,
  maybeNumber,
  nodeId,
  pairs,
  progressOf,
  reasonOf,
  ref,
  requeuedOf,
} from './value-codec.ts';
import { decodeYielding } from './yield-codec.ts';

/** An event from the disk. What a log holds was checked when it was written and by its sums since: disagreement is a bug. */
export function decodeEvent(stored: disk.Event | undefined): Event {
  const found = stored?.event;
  assert(found, 'this version knows the event (a newer format is refused before)');
  switch (found.$case) {
    case 'headStarted':
      return {
        kind: 'head-started',
        epoch: Number(found.value.epoch),
        version: found.value.version,
        clusterId: clusterId(found.value.clusterId),
      };
    case 'batchSubmitted': {
      const { value } = found;
      return {
        kind: 'batch-submitted',
        ...decodeSubmission(value),
        namespace: value.namespace,
        name: value.name,
        maxRunning: value.maxRunning,
        maxFailures: value.maxFailures,
        origin: value.origin === 'distribute' ? 'distribute' : 'labrun',
        replaces: value.replaces === '' ? undefined : batchId(value.replaces),
      };
    }
    case 'batchExtended': {
      const { value } = found;
      return {
        kind: 'batch-extended',
        ...decodeSubmission(value),
        extensionId: batchId(value.extensionId),
        added: value.added?.bounds ?? [],
        changed: pairs(value.changed),
      };
    }
    case 'jobsHeld':
      return { kind: 'jobs-held', ...jobsOf(found.value), reason: found.value.reason };
    case 'jobsReleased':
      return { kind: 'jobs-released', ...jobsOf(found.value) };
    case 'jobsCancelled':
      return { kind: 'jobs-cancelled', ...jobsOf(found.value) };
    case 'jobsRetried':
      return { kind: 'jobs-retried', ...jobsOf(found.value) };
    case 'jobsFailed':
      return {
        kind: 'jobs-failed',
        ...jobsOf(found.value),
        reason: reasonOf(found.value.reason),
        message: found.value.message,
      };
    case 'batchEnded':
      return { kind: 'batch-ended', batchId: batchId(found.value.batchId), state: endState(found.value.state) };
    case 'nodeConnected': {
      const { value } = found;
      return {
        kind: 'node-connected',
        nodeId: nodeId(value.nodeId),
        name: value.name,
        version: value.version,
        features: value.features,
        bootId: value.bootId,
        facts: decodeFacts(value.facts),
        builds: value.builds,
        leaseMs: Number(value.leaseMs ?? leaseMs),
      };
    }
    case 'nodeDisconnected':
      return { kind: 'node-disconnected', nodeId: nodeId(found.value.nodeId) };
    case 'nodeChanged':
      return { kind: 'node-changed', nodeId: nodeId(found.value.nodeId), facts: decodeFacts(found.value.facts) };
    case 'nodeQuarantined':
      return { kind: 'node-quarantined', ...decodeQuarantined(found.value) };
    case 'nodeFreed':
      return { kind: 'node-freed', nodeId: nodeId(found.value.nodeId), reason: found.value.reason };
    case 'nodeYielded': {
      const { value } = found;
      return { kind: 'node-yielded', nodeId: nodeId(value.nodeId), yielding: decodeYielding(value.yielding) };
    }
    case 'nodeDrained':
      return { kind: 'node-drained', nodeId: nodeId(found.value.nodeId), reason: found.value.reason };
    case 'nodeUndrained':
      return { kind: 'node-undrained', nodeId: nodeId(found.value.nodeId) };
    case 'nodeTroubled':
      return { kind: 'node-troubled', nodeId: nodeId(found.value.nodeId), trouble: found.value.trouble };
    case 'shellOpened':
    case 'shellClosed':
      return decodeShell(found);
    case 'attemptAssigned':
      return {
        kind: 'attempt-assigned',
        attempt: ref(found.value.attempt),
        nodeId: nodeId(found.value.nodeId),
        cpus: found.value.cpus,
      };
    case 'attemptRecalled':
      return { kind: 'attempt-recalled', attempt: ref(found.value.attempt) };
    case 'attemptReturned':
      return {
        kind: 'attempt-returned',
        attempt: ref(found.value.attempt),
        reason: found.value.reason,
        message: found.value.message,
      };
    case 'attemptProgressed':
      return {
        kind: 'attempt-progressed',
        attempt: ref(found.value.attempt),
        phase: progressOf(found.value.phase),
        startedAtMs: maybeNumber(found.value.startedAtMs),
      };
    case 'attemptCancelling':
      return { kind: 'attempt-cancelling', attempt: ref(found.value.attempt) };
    case 'attemptRequeued':
      return { kind: 'attempt-requeued', attempt: ref(found.value.attempt), reason: found.value.reason };
    case 'attemptResumed':
      return { kind: 'attempt-resumed', attempt: ref(found.value.attempt) };
    case 'jobsExcluded':
      return { kind: 'jobs-excluded', ...jobsOf(found.value), nodeId: nodeId(found.value.nodeId) };
    case 'attemptLapsed':
      return { kind: 'attempt-lapsed', attempt: ref(found.value.attempt) };
    case 'attemptReadopted':
      return { kind: 'attempt-readopted', attempt: ref(found.value.attempt) };
    case 'attemptLost':
      return {
        kind: 'attempt-lost',
        attempt: ref(found.value.attempt),
        message: found.value.message,
        requeued: found.value.requeued,
      };
    case 'archiveAccepted': {
      const { value } = found;
      return {
        kind: 'archive-accepted',
        attempt: ref(value.attempt),
        outcome: decodeOutcome(value.outcome),
        manifestHash: value.manifestHash,
        startedAtMs: maybeNumber(value.startedAtMs),
        endedAtMs: Number(value.endedAtMs),
        pausedMs: Number(value.pausedMs),
        requeued: value.requeued ? requeuedOf(value.again) : undefined,
        inline: value.inlineArchive,
      };
    }
    case 'buildReady':
      return { kind: 'build-ready', nodeId: nodeId(found.value.nodeId), digest: found.value.buildDigest };
    case 'buildFailed':
      return {
        kind: 'build-failed',
        nodeId: nodeId(found.value.nodeId),
        digest: found.value.buildDigest,
        message: found.value.message,
      };
    case 'buildForgotten':
      return {
        kind: 'build-forgotten',
        nodeId: found.value.nodeId === '' ? undefined : nodeId(found.value.nodeId),
        digest: found.value.buildDigest,
      };
    case 'logShortened': {
      const { how, message } = found.value;
      return { kind: 'log-shortened', how: how === 'restored' ? how : 'accepted', message };
    }
    case 'attemptDiscarded':
      return { kind: 'attempt-discarded', attempt: ref(found.value.attempt), nodeId: nodeId(found.value.nodeId) };
    case 'attemptFound':
      return { kind: 'attempt-found', attempt: ref(found.value.attempt), nodeId: nodeId(found.value.nodeId) };
    case 'batchDeleted':
      return { kind: 'batch-deleted', batchId: batchId(found.value.batchId) };
    case 'batchRetired':
      return { kind: 'batch-retired', batchId: batchId(found.value.batchId) };
    case 'archiveFound': {
      const { value } = found;
      return {
        kind: 'archive-found',
        attempt: ref(value.attempt),
        nodeId: value.nodeId === '' ? undefined : nodeId(value.nodeId),
        outcome: decodeOutcome(value.outcome),
        manifestHash: value.manifestHash,
        startedAtMs: maybeNumber(value.startedAtMs),
        endedAtMs: Number(value.endedAtMs),
        pausedMs: Number(value.pausedMs),
        requeued: value.requeued,
      };
    }
    case 'archiveSearched':
      return { kind: 'archive-searched', found: found.value.found, message: found.value.message };
    default:
      return decodeAccessEvent(found);
  }
}
