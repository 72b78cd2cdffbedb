import type { BatchSummary, JobView } from '../proto/gen/labrun/v1/batches.ts';
import { ActorKind } from '../proto/gen/labrun/v1/common.ts';
import type { EventView } from '../proto/gen/labrun/v1/events.ts';
import type { NodeView, QuarantineView, YieldView } from '../proto/gen/labrun/v1/nodes.ts';
import { isoTime } from './print.ts';

/** What `--json` prints. Keys are only ever added; times are ISO 8601 in UTC, or null. */

/** A batch without its jobs. */
export function batchJson(batch: BatchSummary): Record<string, unknown> {
  return {
    namespace: batch.namespace,
    name: batch.name,
    id: batch.batchId,
    state: batch.state,
    counts: batch.counts,
    submittedBy: batch.submittedBy,
    submittedAt: isoTime(batch.submittedAtMs),
    endedAt: isoTime(batch.endedAtMs),
    deletedAt: isoTime(batch.deletedAtMs),
    deletedBy: batch.deletedBy === '' ? null : batch.deletedBy,
    origin: batch.origin,
    failures: batch.failures,
    buildFailures: batch.buildFailures,
    notice: batch.notice === '' ? null : batch.notice,
  };
}

/** A job. */
export function jobJson(job: JobView): Record<string, unknown> {
  return {
    name: job.name,
    index: job.index,
    state: job.state,
    params: job.params,
    node: job.node === '' ? null : job.node,
    attempt: job.attempt,
    reason: job.reason === '' ? null : job.reason,
    message: job.message === '' ? null : job.message,
    exitCode: job.exitCode ?? null,
    startedAt: isoTime(job.startedAtMs),
    finishedAt: isoTime(job.finishedAtMs),
    pausedMs: Number(job.pausedMs),
    pausedSince: isoTime(job.pausedSinceMs),
  };
}

/** A node. */
export function nodeJson(node: NodeView): Record<string, unknown> {
  const amounts = (one: NodeView['total']) => ({
    cpus: one?.cpus ?? 0,
    memoryBytes: Number(one?.memoryBytes ?? 0),
    diskBytes: Number(one?.diskBytes ?? 0),
    gpus: one?.gpus ?? 0,
  });
  return {
    name: node.name,
    id: node.nodeId,
    state: node.state,
    capabilities: node.capabilities.map(({ name, version }) => (version === '' ? { name } : { name, version })),
    resources: { total: amounts(node.total), free: amounts(node.free) },
    yielding: node.yielding === '' ? null : node.yielding,
    running: node.running,
    version: node.version,
    tracking: node.tracking,
    jobsAccount: node.jobsAccount === '' ? null : node.jobsAccount,
    agentIsRoot: node.agentIsRoot,
    isolation: node.isolation === '' ? 'none' : node.isolation,
    lastSeenAt: isoTime(node.lastSeenAtMs),
    trouble: node.trouble === '' ? null : node.trouble,
    freezing: node.freezing === '' ? null : node.freezing,
    yield: node.yield ? yieldJson(node.yield) : null,
    drained: node.drained
      ? { by: node.drained.by, reason: node.drained.reason, since: isoTime(node.drained.sinceMs) }
      : null,
    quarantine: node.quarantine ? quarantineJson(node.quarantine) : null,
  };
}

function yieldJson(told: YieldView): Record<string, unknown> {
  return {
    takesJobs: told.takesJobs,
    cause: told.cause === '' ? null : told.cause,
    by: told.by === '' ? null : told.by,
    reason: told.reason === '' ? null : told.reason,
    since: isoTime(told.sinceMs),
    until: isoTime(told.untilMs),
    condition: told.condition === '' ? null : told.condition,
    usuallyFreeFromMinute: told.usuallyFreeFromMinute ?? null,
    interruptionPerMille: told.interruptionPerMille ?? null,
  };
}

function quarantineJson(told: QuarantineView): Record<string, unknown> {
  return {
    evidence: told.evidence,
    since: isoTime(told.sinceMs),
    triedAgainAt: isoTime(told.triedAgainAtMs),
    canariesFailed: told.canariesFailed,
    batch: told.batch === '' ? null : told.batch,
    message: told.message === '' ? null : told.message,
  };
}

/** An event. */
export function eventJson(event: EventView): Record<string, unknown> {
  return {
    seq: Number(event.seq),
    at: isoTime(event.atMs),
    kind: event.kind,
    actor: { kind: actorKinds[event.actor?.kind ?? ActorKind.UNSPECIFIED], name: event.actor?.name ?? '' },
    ...(event.batch === '' ? {} : { namespace: event.namespace, batch: event.batch }),
    ...(event.job === '' ? {} : { job: event.job }),
    ...(event.attempt === 0 ? {} : { attempt: event.attempt }),
    ...(event.node === '' ? {} : { node: event.node }),
    message: event.message,
    facts: event.facts,
  };
}

const actorKinds: Readonly<Record<ActorKind, string>> = {
  [ActorKind.UNSPECIFIED]: 'unknown',
  [ActorKind.USER]: 'user',
  [ActorKind.NODE]: 'node',
  [ActorKind.SYSTEM]: 'system',
  [ActorKind.UNRECOGNIZED]: 'unknown',
};
