import { assert } from '../../base/assert.ts';
import { asBatchId, asClusterId, asNodeId, type BatchId, type ClusterId, type NodeId } from '../../base/ids.ts';
import type { Needs } from '../../config/spec.ts';
import type * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import type { Actor } from '../scheduler/actor.ts';
import type { AttemptRef } from '../scheduler/attempt.ts';
import type {
  EndState,
  FailureReason,
  InlineArchive,
  NodeFacts,
  Outcome,
  ProgressPhase,
  Requeued,
  Submission,
} from '../scheduler/event.ts';
import { failureReasons, type Quarantine } from '../scheduler/state.ts';

type Quarantined = Omit<Quarantine, 'sinceMs' | 'canary'>;

/** Who did it, from the disk. */
export function decodeActor(actor: disk.Actor | undefined): Actor {
  const kind = actor?.kind;
  assert(actor && (kind === 'user' || kind === 'node' || kind === 'system'), 'every record names its actor');
  return { kind, name: actor.name };
}

/** A submission's part of its event, as the disk has it. */
export function encodeSubmission(submission: Submission) {
  return {
    batchId: submission.batchId,
    specHash: submission.specHash,
    sourceHash: submission.sourceHash,
    features: [...submission.features],
    groups: submission.groups.map((group) => ({
      count: group.count,
      retries: group.retries,
      needs: encodeNeeds(group.needs),
    })),
    buildDigest: submission.buildDigest,
    buildNeeds: submission.buildNeeds && encodeNeeds(submission.buildNeeds),
  };
}

/** The same, from the disk. */
export function decodeSubmission(stored: disk.BatchSubmitted | disk.BatchExtended): Submission {
  return {
    batchId: batchId(stored.batchId),
    specHash: stored.specHash,
    sourceHash: stored.sourceHash,
    features: stored.features,
    groups: stored.groups.map((group) => ({
      count: group.count,
      retries: group.retries,
      needs: decodeNeeds(group.needs),
    })),
    buildDigest: stored.buildDigest,
    buildNeeds: stored.buildNeeds && decodeNeeds(stored.buildNeeds),
  };
}

/** A machine's facts, as the disk has them. */
export function encodeFacts(facts: NodeFacts): disk.NodeFacts {
  return {
    ...facts,
    capabilities: Object.entries(facts.capabilities).map(([name, version]) => ({ name, version })),
    memoryBytes: big(facts.memoryBytes),
    diskBytes: big(facts.diskBytes),
  };
}

/** An attempt's name, from the disk. */
export function ref(stored: disk.AttemptRef | undefined): AttemptRef {
  assert(stored, 'an attempt event names its attempt');
  return { batchId: batchId(stored.batchId), index: stored.index, attempt: stored.attempt };
}

/** An id from the disk. */
export function batchId(text: string): BatchId {
  const id = asBatchId(text);
  assert(id, 'the log holds batch ids');
  return id;
}

/** An id from the disk. */
export function nodeId(text: string): NodeId {
  const id = asNodeId(text);
  assert(id, 'the log holds node ids');
  return id;
}

/** An id from the disk. */
export function clusterId(text: string): ClusterId {
  const id = asClusterId(text);
  assert(id, 'the log holds its cluster id');
  return id;
}

/** Needs, as the disk has them. */
export function encodeNeeds(needs: Needs): disk.Needs {
  return {
    capabilities: needs.capabilities.map(({ name, comparison, version }) => ({
      name,
      comparison: comparison ?? '',
      version: version ?? '',
    })),
    cpus: needs.cpus,
    memoryBytes: big(needs.memoryBytes),
    diskBytes: big(needs.diskBytes),
    gpus: needs.gpus,
  };
}

/** Needs, from the disk. */
export function decodeNeeds(stored: disk.Needs | undefined): Needs {
  const comparisons = ['>=', '>', '=', '<', '<='] as const;
  return {
    capabilities: (stored?.capabilities ?? []).map((need) => {
      const comparison = comparisons.find((known) => known === need.comparison);
      return comparison === undefined ? { name: need.name } : { name: need.name, comparison, version: need.version };
    }),
    cpus: stored?.cpus ?? 0,
    ranks: 0,
    threads: 0,
    memoryBytes: Number(stored?.memoryBytes ?? 0n),
    diskBytes: Number(stored?.diskBytes ?? 0n),
    gpus: stored?.gpus ?? 0,
  };
}

/** A machine's facts, from the disk. */
export function decodeFacts(stored: disk.NodeFacts | undefined): NodeFacts {
  assert(stored, 'a node event tells what the machine has');
  return {
    capabilities: Object.fromEntries(stored.capabilities.map(({ name, version }) => [name, version])),
    cpus: stored.cpus,
    memoryBytes: Number(stored.memoryBytes),
    diskBytes: Number(stored.diskBytes),
    gpus: stored.gpus,
    os: stored.os,
    architecture: stored.architecture,
    tracking: stored.tracking,
    dedicated: stored.dedicated,
    jobsAccount: stored.jobsAccount,
    agentIsRoot: stored.agentIsRoot,
    freezing: stored.freezing,
  };
}

/** An outcome, as the disk has it. */
export function encodeOutcome(outcome: Outcome): disk.Outcome {
  return { ...outcome, reason: outcome.reason ?? '', ranMs: big(outcome.ranMs) };
}

/** An outcome, from the disk. */
export function decodeOutcome(stored: disk.Outcome | undefined): Outcome {
  assert(stored, 'an accepted archive tells the outcome');
  return {
    state: endState(stored.state),
    reason: stored.reason === '' ? undefined : reasonOf(stored.reason),
    message: stored.message,
    exitCode: stored.exitCode,
    signal: stored.signal,
    ranMs: Number(stored.ranMs),
  };
}

/** A small archive, as the disk has it. */
export function encodeInline(inline: InlineArchive): disk.InlineArchive {
  return {
    manifest: Buffer.from(inline.manifest),
    files: inline.files.map(({ path, data }) => ({ path, data: Buffer.from(data) })),
  };
}

/** Why a node gets no jobs, as the disk has it. */
export function encodeQuarantined(told: Quarantined & { readonly nodeId: NodeId }): disk.NodeQuarantined {
  const { nodeId: id, untilMs, canariesFailed, evidence, batchId: batch, message } = told;
  return { nodeId: id, untilMs: big(untilMs), canariesFailed, evidence, batchId: batch, message };
}

/** The same, from the disk. */
export function decodeQuarantined(stored: disk.NodeQuarantined): Quarantined & { readonly nodeId: NodeId } {
  const { canariesFailed, evidence, message } = stored;
  const ids = { nodeId: nodeId(stored.nodeId), batchId: batchId(stored.batchId) };
  return { ...ids, untilMs: Number(stored.untilMs), canariesFailed, evidence, message };
}

/** The jobs an event is about, from the disk. */
export function jobsOf(stored: { batchId: string; jobs?: disk.JobRanges | undefined }) {
  return { batchId: batchId(stored.batchId), jobs: stored.jobs?.bounds ?? [] };
}

/** A reason code; one that a later version wrote counts as the last. */
export function reasonOf(text: string): FailureReason {
  return failureReasons.find((known) => known === text) ?? 'archive-failed';
}

/** Why a job waits again, from the disk; releases that knew one reason only wrote none. */
export function requeuedOf(text: string): Requeued {
  return text === 'elsewhere' || text === 'asked' ? text : 'retry';
}

/** How something ended, from the disk. */
export function endState(text: string): EndState {
  return text === 'succeeded' || text === 'cancelled' ? text : 'failed';
}

/** A phase, from the disk. */
export function progressOf(text: string): ProgressPhase {
  const phases = ['staging', 'building', 'running', 'paused', 'archiving'] as const;
  const phase = phases.find((known) => known === text);
  assert(phase, 'the log holds phases this version knows');
  return phase;
}

/** A flat list two by two. */
export function pairs(flat: readonly number[]): [number, number][] {
  const list: [number, number][] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) list.push([flat[at] ?? 0, flat[at + 1] ?? 0]);
  return list;
}

/** A count as the disk has it; never below zero. */
export function big(value: number): bigint {
  return BigInt(Math.max(0, Math.round(value)));
}

/** The same, or nothing. */
export function maybeBig(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : big(value);
}

/** A count from the disk, or nothing. */
export function maybeNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
