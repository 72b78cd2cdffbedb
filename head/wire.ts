import type { Caller } from '../base/channel/caller.ts';
import { type Refusal, refused } from '../base/errors.ts';
import { asBatchId, asClusterId, asNodeId, type ClusterId, type Fence, type NodeId } from '../base/ids.ts';
import type { JobView } from '../proto/gen/labrun/v1/batches.ts';
import { ActorKind, type Actor as WireActor, type Fence as WireFence } from '../proto/gen/labrun/v1/common.ts';
import type { Actor } from './scheduler/actor.ts';
import type { JobSeen } from './selected-jobs.ts';

/** Most attempts and jobs that ids can count; what is larger is no fence of ours. */
export const countMax = 9_999_999;

/** A number of bytes as it crossed the wire, or nothing where it is larger than a number can hold exactly. */
export function readOffset(wire: bigint): number | undefined {
  return wire <= Number.MAX_SAFE_INTEGER ? Number(wire) : undefined;
}

/** The fence of a message, for this cluster. */
export function readFence(wire: WireFence | undefined, clusterId: ClusterId): Fence | Refusal {
  const batchId = asBatchId(wire?.batchId ?? '');
  const cluster = asClusterId(wire?.clusterId ?? '');
  if (!wire || !batchId || !cluster || wire.attempt < 1 || wire.attempt > countMax || wire.index > countMax) {
    return refused('invalid', 'Cannot read which attempt a message is about');
  }
  if (cluster !== clusterId) {
    return refused('stale', `Cannot take news of an attempt of cluster ${cluster}: this is cluster ${clusterId}`);
  }
  return { clusterId: cluster, batchId, index: wire.index, attempt: wire.attempt };
}

/** Where in the log a reader wants to begin; what no log reaches counts as its end. */
export function readSeq(wire: bigint): number {
  return readOffset(wire) ?? Number.MAX_SAFE_INTEGER;
}

/** The id of the node that calls. */
export function callingNode(caller: Caller): NodeId | Refusal {
  const nodeId = caller.kind === 'node' ? asNodeId(caller.name) : undefined;
  return nodeId ?? refused('denied', 'Cannot take the call: only an agent may make it');
}

/** Who a caller is in the log: names are not checked yet, but always written down. */
export function actorOf(caller: Caller): Actor {
  return { kind: caller.kind, name: caller.name };
}

/** An actor as it crosses the wire. */
export function writeActor(actor: Actor): WireActor {
  const kind = { user: ActorKind.USER, node: ActorKind.NODE, system: ActorKind.SYSTEM }[actor.kind];
  return { kind, name: actor.name };
}

/** A job as it crosses the wire. */
export function writeJob(job: JobSeen): JobView {
  const { name, index, state, params, node, attempt, reason, message, exitCode, startedAtMs, finishedAtMs } = job;
  const { pausedMs, pausedSinceMs } = job;
  return {
    name,
    index,
    state,
    params: { ...params },
    node,
    attempt,
    reason: reason ?? '',
    message,
    exitCode,
    startedAtMs: startedAtMs === undefined ? undefined : BigInt(Math.round(startedAtMs)),
    finishedAtMs: finishedAtMs === undefined ? undefined : BigInt(Math.round(finishedAtMs)),
    pausedMs: BigInt(Math.round(pausedMs)),
    pausedSinceMs: pausedSinceMs === undefined ? undefined : BigInt(Math.round(pausedSinceMs)),
  };
}
