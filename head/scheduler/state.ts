import type { AttemptId, BatchId, ClusterId, NodeId } from '../../base/ids.ts';
import type { Needs } from '../../config/spec.ts';
import type { AccessState } from './access-state.ts';
import type { Actor } from './actor.ts';
import type { Attempt } from './attempt.ts';
import type { EndState, FailureReason, NodeFacts, Submission } from './event.ts';
import type { Yielding } from './yielding.ts';

/** Everything the head knows. Only `apply` changes it; everyone else reads. */
export interface ClusterState {
  readonly clusterId: ClusterId | undefined;
  /** Grows with each start of the head. */
  readonly epoch: number;
  /** The last record applied. */
  readonly seq: number;
  readonly atMs: number;
  readonly batches: ReadonlyMap<BatchId, Batch>;
  /** Batches that ended long ago, without their jobs. */
  readonly retired: ReadonlyMap<BatchId, Retired>;
  /** `namespace/name` (by its key) → the newest batch of that name. */
  readonly batchByName: ReadonlyMap<string, BatchId>;
  /** Live attempts only: their number is bounded by the cluster, not by the queue. */
  readonly attempts: ReadonlyMap<AttemptId, Attempt>;
  readonly nodes: ReadonlyMap<NodeId, Node>;
  /** Batches in which nothing waits or lives any more, and whose end has not been noted. */
  readonly finished: ReadonlySet<BatchId>;
  /** When the log went on without an end that it had: until nodes have told, they may know of more. */
  readonly gap: LogGap | undefined;
  /** Who belongs. */
  readonly access: AccessState;
}

/** The log was restored from a backup, or goes on after a loss that was accepted. */
export interface LogGap {
  readonly atMs: number;
  /** When the head first served after it; 0: not yet. */
  readonly servedAtMs: number;
  /** The archive has been searched for results of the lost end. */
  readonly searched: boolean;
}

/** One submission and what was added to it. */
export interface Batch {
  readonly id: BatchId;
  readonly namespace: string;
  readonly name: string;
  readonly submittedBy: Actor;
  readonly submittedAtMs: number;
  readonly maxRunning: number;
  /** At how many failed jobs the rest is held; 0: never; nothing said: as `holding.ts` does by default. */
  readonly maxFailures: number | undefined;
  readonly origin: 'labrun' | 'distribute';
  /** The first submission, then those added. A job's row says which of them it follows. */
  readonly parts: readonly Submission[];
  /** Ids of the additions taken so far, so that a repeated one is recognised. */
  readonly extensions: ReadonlySet<BatchId>;
  readonly rows: JobRows;
  /** The waiting jobs, one queue for each group of each part. */
  readonly queues: readonly Queue[];
  readonly ended: { readonly state: EndState; readonly atMs: number } | undefined;
  /** Why its jobs are held since they failed too often; empty: they are not. */
  readonly held: string;
  readonly tally: Tally;
  /** How its attempts have fared on each node, while it has not ended. */
  readonly trials: ReadonlyMap<NodeId, Trial>;
  /** Nodes that its jobs are kept from, because somebody said so. */
  readonly exclusions: ReadonlyMap<number, ReadonlySet<NodeId>>;
  /** Its jobs that are tried once more elsewhere, until they end. */
  readonly secondTries: ReadonlyMap<number, SecondTry>;
  /** Numbers of attempts that nodes hold and this log never gave: the highest, by job. */
  readonly found: ReadonlyMap<number, number>;
  /** Who has deleted its results from the archive, when, and by which record. */
  readonly deleted: { readonly by: Actor; readonly atMs: number; readonly seq: number } | undefined;
}

/** What waits or has ended. `assigned` to `archiving` are told by the live attempt; the row then says `live`. */
export type RowState = 'queued' | 'held' | 'live' | 'succeeded' | 'failed' | 'cancelled';

/** Typed arrays fit it; readers cannot write. */
export interface Column {
  readonly [row: number]: number;
  readonly length: number;
}

/** One per batch; row = job index. Names are computed from the spec, never stored. */
export interface JobRows {
  readonly count: number;
  /** Index into `rowStates`. */
  readonly state: Column;
  /** The last attempt's number; 0: none yet. */
  readonly attempts: Column;
  /** Index into `nodeIds`, plus 1; 0: none. */
  readonly node: Column;
  /** Index into `failureReasons`, plus 1; 0: none. */
  readonly reason: Column;
  /** -1: none. */
  readonly exitCode: Column;
  /** Seconds since 1970; 0: not yet. */
  readonly startedS: Column;
  readonly endedS: Column;
  readonly retriesUsed: Column;
  /** How often its attempt was lost. */
  readonly losses: Column;
  /** Which of the batch's submissions holds the job's spec, and its index there. */
  readonly part: Column;
  readonly specIndex: Column;
  readonly nodeIds: readonly NodeId[];
  /** Sentences of jobs that ended badly. */
  readonly messages: ReadonlyMap<number, string>;
  /** For how long in all the last attempt was paused, in milliseconds; of those that were and have ended. */
  readonly pausedMs: ReadonlyMap<number, number>;
  readonly counts: Readonly<Record<RowState, number>>;
}

/** The meaning of the numbers in `JobRows.state`. Only ever added to: they are on disk. */
export const rowStates = [
  'queued',
  'held',
  'live',
  'succeeded',
  'failed',
  'cancelled',
] as const satisfies readonly RowState[];

/** The meaning of the numbers in `JobRows.reason`, less 1. Only ever added to: they are on disk. */
export const failureReasons = [
  'exit',
  'signal',
  'timeout',
  'oom',
  'disk-full',
  'build-failed',
  'missing-output',
  'staging-failed',
  'lost',
  'archive-failed',
  'processes',
] as const satisfies readonly FailureReason[];

/** How often in a row a node has given jobs of a batch back for lack of something, and until when it gets no more of them. */
export interface Shortage {
  readonly times: number;
  readonly untilMs: number;
}

/** A machine. */
export interface Node {
  readonly id: NodeId;
  readonly name: string;
  readonly version: string;
  readonly features: readonly string[];
  readonly bootId: string;
  readonly facts: NodeFacts;
  readonly connected: boolean;
  /** When it was connected or disconnected. */
  readonly sinceMs: number;
  /** For how long its attempts stay its own while it is silent: what it was granted when it connected. */
  readonly leaseMs: number;
  /** Build digests that are ready there. */
  readonly builds: ReadonlySet<string>;
  /** Build digests that failed there. */
  readonly failedBuilds: ReadonlyMap<string, { readonly message: string; readonly atMs: number }>;
  /** Takes no new jobs before this moment, because it has just run out of something; 0: it does. */
  readonly restsUntilMs: number;
  /** Of which batches it has given jobs back for lack of something, and has ended none since; like its rest, in memory alone. */
  readonly shortages: ReadonlyMap<BatchId, Shortage>;
  /** Why and until when it gets no jobs, after those it had failed. */
  readonly quarantine: Quarantine | undefined;
  /** What it does for the person at its desk; nothing when it has never said. */
  readonly yielding: Yielding | undefined;
  /** Who keeps jobs from it. */
  readonly drained: { readonly by: Actor; readonly reason: string; readonly atMs: number } | undefined;
  /** Why it takes no jobs now, as it says itself, such as a disk that is full; empty: it does. */
  readonly trouble: string;
  /** Its live attempts. */
  readonly attempts: ReadonlySet<AttemptId>;
}

/**
 * The waiting jobs of one group: a cursor over its indices, and those given back behind it. Both are hints, a row's own
 * state is the truth: every queued row of the group is at or past the cursor or among the returned.
 */
export interface Queue {
  readonly part: number;
  readonly needs: Needs;
  readonly retries: number;
  /** Spec indices of the group in its part: from `specFirst`, before `specEnd`. */
  readonly specFirst: number;
  readonly specEnd: number;
  /** Where the cursor stops: an index of the batch. */
  readonly end: number;
  readonly cursor: number;
  /** Ascending. */
  readonly returned: readonly number[];
  /** How many of the group's jobs wait. */
  readonly queued: number;
}

/** How the attempts of one batch have fared on one node. Forgotten when the batch ends, or the node is quarantined. */
export interface Trial {
  readonly succeeded: number;
  readonly failed: number;
  /** Attempts that failed quickly, one after the other, since the last that did not. */
  readonly quickInARow: number;
  /** Jobs that failed there quickly and then succeeded elsewhere, since the last success there. */
  readonly refuted: number;
}

/** A job that failed where none of its batch had succeeded, and is tried once elsewhere: where that was. */
export interface SecondTry {
  readonly nodeId: NodeId;
  readonly quick: boolean;
}

/** How a batch's jobs have ended since it was submitted, or somebody last let it go on. */
export interface Tally {
  readonly succeeded: number;
  readonly failed: number;
  /** Where attempts have failed. */
  readonly nodes: ReadonlySet<NodeId>;
}

/** A node that gets no jobs because those it had failed out of line with others; now and then one is tried there. */
export interface Quarantine {
  readonly sinceMs: number;
  /** From then on it gets one job: the canary. */
  readonly untilMs: number;
  /** Canaries that have failed in a row. */
  readonly canariesFailed: number;
  /** What speaks against it, in words that name nobody's batch: every user sees the nodes. */
  readonly evidence: string;
  /** The batch that told, and how its last attempt there ended: for those who may read the batch. */
  readonly batchId: BatchId;
  readonly message: string;
  /** The attempt that is on trial there now. */
  readonly canary: AttemptId | undefined;
}

/** A batch that ended long ago: what it was called and how it ended. Its jobs are in `jobs.jsonl` of its archive. */
export interface Retired {
  readonly id: BatchId;
  readonly namespace: string;
  readonly name: string;
  readonly submittedBy: Actor;
  readonly submittedAtMs: number;
  readonly origin: Batch['origin'];
  /** Of its first submission, so that a repeated one is recognised. */
  readonly specHash: string;
  readonly counts: Readonly<Record<EndState, number>>;
  readonly ended: { readonly state: EndState; readonly atMs: number };
  readonly retiredAtMs: number;
  readonly deleted: Batch['deleted'];
}
