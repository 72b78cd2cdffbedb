import type * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import type { Event } from '../scheduler/event.ts';
import { encodeAccessEvent } from './access-codec.ts';
import { encodeShell } from './shell-codec.ts';
import {
  big,
  encodeFacts,
  encodeInline,
  encodeOutcome,
  encodeQuarantined,
  encodeSubmission,
  maybeBig,
} from './value-codec.ts';
import { encodeYielding } from './yield-codec.ts';

/** An event as the disk has it. */
export function encodeEvent(event: Event): disk.Event {
  const made = (value: disk.Event['event']): disk.Event => ({ event: value });
  switch (event.kind) {
    case 'head-started':
      return made({
        $case: 'headStarted',
        value: { epoch: BigInt(event.epoch), version: event.version, clusterId: event.clusterId },
      });
    case 'batch-submitted':
      return made({
        $case: 'batchSubmitted',
        value: {
          ...encodeSubmission(event),
          namespace: event.namespace,
          name: event.name,
          maxRunning: event.maxRunning,
          maxFailures: event.maxFailures,
          origin: event.origin,
          replaces: event.replaces ?? '',
        },
      });
    case 'batch-extended':
      return made({
        $case: 'batchExtended',
        value: {
          ...encodeSubmission(event),
          extensionId: event.extensionId,
          added: { bounds: [...event.added] },
          changed: event.changed.flat(),
        },
      });
    case 'jobs-held':
      return made({
        $case: 'jobsHeld',
        value: { batchId: event.batchId, jobs: { bounds: [...event.jobs] }, reason: event.reason },
      });
    case 'jobs-released':
      return made({ $case: 'jobsReleased', value: { batchId: event.batchId, jobs: { bounds: [...event.jobs] } } });
    case 'jobs-cancelled':
      return made({ $case: 'jobsCancelled', value: { batchId: event.batchId, jobs: { bounds: [...event.jobs] } } });
    case 'jobs-retried':
      return made({ $case: 'jobsRetried', value: { batchId: event.batchId, jobs: { bounds: [...event.jobs] } } });
    case 'jobs-failed':
      return made({
        $case: 'jobsFailed',
        value: {
          batchId: event.batchId,
          jobs: { bounds: [...event.jobs] },
          reason: event.reason,
          message: event.message,
        },
      });
    case 'batch-ended':
      return made({ $case: 'batchEnded', value: { batchId: event.batchId, state: event.state } });
    case 'node-connected':
      return made({
        $case: 'nodeConnected',
        value: {
          nodeId: event.nodeId,
          name: event.name,
          version: event.version,
          features: [...event.features],
          bootId: event.bootId,
          facts: encodeFacts(event.facts),
          builds: [...event.builds],
          leaseMs: big(event.leaseMs),
        },
      });
    case 'node-disconnected':
      return made({ $case: 'nodeDisconnected', value: { nodeId: event.nodeId } });
    case 'node-changed':
      return made({ $case: 'nodeChanged', value: { nodeId: event.nodeId, facts: encodeFacts(event.facts) } });
    case 'node-quarantined':
      return made({ $case: 'nodeQuarantined', value: encodeQuarantined(event) });
    case 'node-freed':
      return made({ $case: 'nodeFreed', value: { nodeId: event.nodeId, reason: event.reason } });
    case 'node-yielded':
      return made({
        $case: 'nodeYielded',
        value: { nodeId: event.nodeId, yielding: encodeYielding(event.yielding) },
      });
    case 'node-drained':
      return made({ $case: 'nodeDrained', value: { nodeId: event.nodeId, reason: event.reason } });
    case 'node-undrained':
      return made({ $case: 'nodeUndrained', value: { nodeId: event.nodeId } });
    case 'node-troubled':
      return made({ $case: 'nodeTroubled', value: { nodeId: event.nodeId, trouble: event.trouble } });
    case 'shell-opened':
    case 'shell-closed':
      return encodeShell(event);
    case 'attempt-assigned':
      return made({
        $case: 'attemptAssigned',
        value: { attempt: event.attempt, nodeId: event.nodeId, cpus: event.cpus },
      });
    case 'attempt-recalled':
      return made({ $case: 'attemptRecalled', value: { attempt: event.attempt } });
    case 'attempt-returned':
      return made({
        $case: 'attemptReturned',
        value: { attempt: event.attempt, reason: event.reason, message: event.message },
      });
    case 'attempt-progressed':
      return made({
        $case: 'attemptProgressed',
        value: { attempt: event.attempt, phase: event.phase, startedAtMs: maybeBig(event.startedAtMs) },
      });
    case 'attempt-cancelling':
      return made({ $case: 'attemptCancelling', value: { attempt: event.attempt } });
    case 'attempt-requeued':
      return made({ $case: 'attemptRequeued', value: { attempt: event.attempt, reason: event.reason } });
    case 'attempt-resumed':
      return made({ $case: 'attemptResumed', value: { attempt: event.attempt } });
    case 'jobs-excluded': {
      const { batchId, jobs, nodeId } = event;
      return made({ $case: 'jobsExcluded', value: { batchId, jobs: { bounds: [...jobs] }, nodeId } });
    }
    case 'attempt-lapsed':
      return made({ $case: 'attemptLapsed', value: { attempt: event.attempt } });
    case 'attempt-readopted':
      return made({ $case: 'attemptReadopted', value: { attempt: event.attempt } });
    case 'attempt-lost':
      return made({
        $case: 'attemptLost',
        value: { attempt: event.attempt, message: event.message, requeued: event.requeued },
      });
    case 'archive-accepted':
      return made({
        $case: 'archiveAccepted',
        value: {
          attempt: event.attempt,
          outcome: encodeOutcome(event.outcome),
          manifestHash: event.manifestHash,
          startedAtMs: maybeBig(event.startedAtMs),
          endedAtMs: big(event.endedAtMs),
          pausedMs: big(event.pausedMs),
          requeued: event.requeued !== undefined,
          again: event.requeued ?? '',
          inlineArchive: event.inline && encodeInline(event.inline),
        },
      });
    case 'build-ready':
      return made({ $case: 'buildReady', value: { nodeId: event.nodeId, buildDigest: event.digest } });
    case 'build-failed':
      return made({
        $case: 'buildFailed',
        value: { nodeId: event.nodeId, buildDigest: event.digest, message: event.message },
      });
    case 'build-forgotten':
      return made({ $case: 'buildForgotten', value: { nodeId: event.nodeId ?? '', buildDigest: event.digest } });
    case 'log-shortened':
      return made({ $case: 'logShortened', value: { how: event.how, message: event.message } });
    case 'attempt-discarded':
      return made({ $case: 'attemptDiscarded', value: { attempt: event.attempt, nodeId: event.nodeId } });
    case 'attempt-found':
      return made({ $case: 'attemptFound', value: { attempt: event.attempt, nodeId: event.nodeId } });
    case 'batch-deleted':
      return made({ $case: 'batchDeleted', value: { batchId: event.batchId } });
    case 'batch-retired':
      return made({ $case: 'batchRetired', value: { batchId: event.batchId } });
    case 'archive-found':
      return made({
        $case: 'archiveFound',
        value: {
          attempt: event.attempt,
          nodeId: event.nodeId ?? '',
          outcome: encodeOutcome(event.outcome),
          manifestHash: event.manifestHash,
          startedAtMs: maybeBig(event.startedAtMs),
          endedAtMs: big(event.endedAtMs),
          pausedMs: big(event.pausedMs),
          requeued: event.requeued,
        },
      });
    case 'archive-searched':
      return made({ $case: 'archiveSearched', value: { found: event.found, message: event.message } });
    default:
      return made(encodeAccessEvent(event));
  }
}
