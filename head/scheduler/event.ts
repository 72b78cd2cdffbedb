import type { BatchId, ClusterId, NodeId } from '../../base/ids.ts';
import type { Needs } from '../../config/spec.ts';
import type { AccessEvent } from './access-event.ts';
import type { Actor } from './actor.ts';
import type { AttemptRef } from './attempt.ts';
import type { JobRanges } from './job-ranges.ts';
import type { Yielding } from './yielding.ts';

/**
 * What has happened. Events are past facts with their outcome, never requests to compute something again: yesterday's
 * log must mean the same under tomorrow's scheduler. The vocabulary only grows. On disk: proto/labrun/store/v1/log.proto.
 */
export type Event =
  | { readonly kind: 'head-started'; readonly epoch: number; readonly version: string; readonly clusterId: ClusterId }
  | ({
      readonly kind: 'batch-submitted';
      readonly namespace: string;
      readonly name: string;
      readonly maxRunning: number;
      /** Nothing: the file says nothing. 0: no limit. */
      readonly maxFailures: number | undefined;
      readonly origin: 'labrun' | 'distribute';
      readonly replaces: BatchId | undefined;
    } & Submission)
  /** New jobs, and jobs that run again with a new spec: `changed` pairs the batch's index with the new spec's. */
  | ({
      readonly kind: 'batch-extended';
      readonly extensionId: BatchId;
      readonly added: JobRanges;
      readonly changed: readonly (readonly [index: number, specIndex: number])[];
    } & Submission)
  /** `reason`: too many have failed; empty: somebody said so. */
  | ({ readonly kind: 'jobs-held'; readonly reason: string } & JobsOf)
  | ({ readonly kind: 'jobs-released' } & JobsOf)
  /** Jobs that had no live attempt; live ones get `attempt-cancelling`. */
  | ({ readonly kind: 'jobs-cancelled' } & JobsOf)
  | ({ readonly kind: 'jobs-retried' } & JobsOf)
  /** Jobs that do not run on a node any more. */
  | ({ readonly kind: 'jobs-excluded'; readonly nodeId: NodeId } & JobsOf)
  /** Jobs that failed without an attempt of their own (a build that failed on every node). */
  | ({ readonly kind: 'jobs-failed'; readonly reason: FailureReason; readonly message: string } & JobsOf)
  | { readonly kind: 'batch-ended'; readonly batchId: BatchId; readonly state: EndState }
  | {
      readonly kind: 'node-connected';
      readonly nodeId: NodeId;
      readonly name: string;
      readonly version: string;
      readonly features: readonly string[];
      readonly bootId: string;
      readonly facts: NodeFacts;
      readonly builds: readonly string[];
      /** For how long its attempts stay its own while it is silent. */
      readonly leaseMs: number;
    }
  | { readonly kind: 'node-disconnected'; readonly nodeId: NodeId }
  | { readonly kind: 'node-changed'; readonly nodeId: NodeId; readonly facts: NodeFacts }
  /** It gets no jobs but, from `untilMs` on, one. */
  | {
      readonly kind: 'node-quarantined';
      readonly nodeId: NodeId;
      readonly untilMs: number;
      readonly canariesFailed: number;
      readonly evidence: string;
      readonly batchId: BatchId;
      readonly message: string;
    }
  | { readonly kind: 'node-freed'; readonly nodeId: NodeId; readonly reason: string }
  /** It does something else now for the person at its desk. */
  | { readonly kind: 'node-yielded'; readonly nodeId: NodeId; readonly yielding: Yielding }
  /** It gets no jobs, because somebody said so. */
  | { readonly kind: 'node-drained'; readonly nodeId: NodeId; readonly reason: string }
  | { readonly kind: 'node-undrained'; readonly nodeId: NodeId }
  /** It cannot take jobs now, and says why; empty: it can again. */
  | { readonly kind: 'node-troubled'; readonly nodeId: NodeId; readonly trouble: string }
  /** Somebody has a terminal on a node; nothing in `inPlaceOf`: the node's own. */
  | {
      readonly kind: 'shell-opened';
      readonly shellId: string;
      readonly nodeId: NodeId;
      readonly inPlaceOf: AttemptRef | undefined;
    }
  | {
      readonly kind: 'shell-closed';
      readonly shellId: string;
      readonly nodeId: NodeId;
      readonly inPlaceOf: AttemptRef | undefined;
      readonly message: string;
    }
  | { readonly kind: 'attempt-assigned'; readonly attempt: AttemptRef; readonly nodeId: NodeId; readonly cpus: number }
  | { readonly kind: 'attempt-recalled'; readonly attempt: AttemptRef }
  | {
      readonly kind: 'attempt-returned';
      readonly attempt: AttemptRef;
      readonly reason: string;
      readonly message: string;
    }
  | {
      readonly kind: 'attempt-progressed';
      readonly attempt: AttemptRef;
      readonly phase: ProgressPhase;
      readonly startedAtMs: number | undefined;
    }
  | { readonly kind: 'attempt-cancelling'; readonly attempt: AttemptRef }
  /** Its processes, which were stopped, go on. */
  | { readonly kind: 'attempt-resumed'; readonly attempt: AttemptRef }
  /** It was told to stop, and its job waits again. `reason`: its node wanted that; empty: somebody said so. */
  | { readonly kind: 'attempt-requeued'; readonly attempt: AttemptRef; readonly reason: string }
  | { readonly kind: 'attempt-lapsed'; readonly attempt: AttemptRef }
  | { readonly kind: 'attempt-readopted'; readonly attempt: AttemptRef }
  | {
      readonly kind: 'attempt-lost';
      readonly attempt: AttemptRef;
      readonly message: string;
      readonly requeued: boolean;
    }
  /** The commit point of an archive, and the end of the attempt. `requeued`: the job waits again, and why. */
  | {
      readonly kind: 'archive-accepted';
      readonly attempt: AttemptRef;
      readonly outcome: Outcome;
      readonly manifestHash: string;
      readonly startedAtMs: number | undefined;
      readonly endedAtMs: number;
      /** For how long in all its processes were stopped for the person at the desk. */
      readonly pausedMs: number;
      readonly requeued: Requeued | undefined;
      readonly inline: InlineArchive | undefined;
    }
  | { readonly kind: 'build-ready'; readonly nodeId: NodeId; readonly digest: string }
  | { readonly kind: 'build-failed'; readonly nodeId: NodeId; readonly digest: string; readonly message: string }
  /** May be tried again there (everywhere: no node), or is no longer there. */
  | { readonly kind: 'build-forgotten'; readonly nodeId: NodeId | undefined; readonly digest: string }
  /** The log goes on without an end that it had; nodes may know of more. `message`: what is known of what is gone. */
  | { readonly kind: 'log-shortened'; readonly how: 'restored' | 'accepted'; readonly message: string }
  /** A node came back with an attempt that is over, and was told to stop it and to drop what it left. */
  | { readonly kind: 'attempt-discarded'; readonly attempt: AttemptRef; readonly nodeId: NodeId }
  /** A node holds an attempt that this log has never given: its number is not given again. */
  | { readonly kind: 'attempt-found'; readonly attempt: AttemptRef; readonly nodeId: NodeId }
  /** Its folder is removed from the archive, but for `batch.json`. */
  | { readonly kind: 'batch-deleted'; readonly batchId: BatchId }
  /** It ended long ago: its jobs are in `jobs.jsonl` of its archive alone from now on. */
  | { readonly kind: 'batch-retired'; readonly batchId: BatchId }
  /** A result that the archive holds and this log, which has lost its end, has not. `requeued`: only its number counts. */
  | {
      readonly kind: 'archive-found';
      readonly attempt: AttemptRef;
      readonly nodeId: NodeId | undefined;
      readonly outcome: Outcome;
      readonly manifestHash: string;
      readonly startedAtMs: number | undefined;
      readonly endedAtMs: number;
      readonly pausedMs: number;
      readonly requeued: boolean;
    }
  /** The archive has been searched for such results. */
  | { readonly kind: 'archive-searched'; readonly found: number; readonly message: string }
  | AccessEvent;

/** Why a job waits again: one of its retries, or, counted as none, its one try elsewhere, or somebody asked for it. */
export type Requeued = 'retry' | 'elsewhere' | 'asked';

/** One spec and the jobs it holds, as the log keeps them. */
export interface Submission {
  readonly batchId: BatchId;
  readonly specHash: string;
  /** The file as written; empty when it was not sent. */
  readonly sourceHash: string;
  readonly features: readonly string[];
  /** Of the whole spec, in its order. */
  readonly groups: readonly GroupFacts[];
  /** The part of the build key that does not depend on the machine; empty without a build. */
  readonly buildDigest: string;
  /** What a node must have for the build, besides what the jobs need. */
  readonly buildNeeds: Needs | undefined;
}

/** Jobs of one template: they need the same. */
export interface GroupFacts {
  readonly count: number;
  readonly needs: Needs;
  readonly retries: number;
}

interface JobsOf {
  readonly batchId: BatchId;
  readonly jobs: JobRanges;
}

/** What a machine has. */
export interface NodeFacts {
  /** By name; the value is the version, empty when there is none. */
  readonly capabilities: Readonly<Record<string, string>>;
  /** Physical cores it gives to jobs. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly gpus: number;
  readonly os: string;
  readonly architecture: string;
  readonly tracking: string;
  readonly dedicated: boolean;
  /** The local account that jobs run as; empty when the agent does not say. */
  readonly jobsAccount: string;
  readonly agentIsRoot: boolean;
  /** How jobs are stopped for a while there; empty when the agent does not say. */
  readonly freezing: string;
}

export type EndState = 'succeeded' | 'failed' | 'cancelled';
export type ProgressPhase = 'staging' | 'building' | 'running' | 'paused' | 'archiving';

/** Why a job failed. Stable, documented in docs/states.md. */
export type FailureReason =
  | 'exit'
  | 'signal'
  | 'timeout'
  | 'oom'
  | 'disk-full'
  | 'build-failed'
  | 'missing-output'
  | 'staging-failed'
  | 'lost'
  | 'archive-failed'
  | 'processes';

/** How an attempt ended. */
export interface Outcome {
  readonly state: EndState;
  /** Set when it failed. */
  readonly reason: FailureReason | undefined;
  /** One sentence; may be empty when it succeeded. */
  readonly message: string;
  readonly exitCode: number | undefined;
  readonly signal: number | undefined;
  readonly ranMs: number;
}

/** An archive small enough to travel inside the event. Paths are `log` or `archive/…`. */
export interface InlineArchive {
  readonly manifest: Uint8Array;
  readonly files: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** An event where it stands in the log. */
export interface LogRecord {
  /** From 1, without gaps. */
  readonly seq: number;
  /** The head's time, milliseconds since 1970; never goes back. */
  readonly atMs: number;
  readonly actor: Actor;
  readonly event: Event;
}
