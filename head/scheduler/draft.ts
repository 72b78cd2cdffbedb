import { assert } from '../../base/assert.ts';
import type { AttemptId, BatchId, ClusterId, NodeId } from '../../base/ids.ts';
import { nameKey } from '../../base/names.ts';
import { type AccessDraft, emptyAccess } from './access-state.ts';
import type { Attempt } from './attempt.ts';
import type { Submission } from './event.ts';
import type { JobRowsDraft } from './job-rows.ts';
import { findQueue, type QueueDraft } from './queue.ts';
import type { Batch, ClusterState, LogGap, Node, Retired, SecondTry, Shortage, Tally, Trial } from './state.ts';

/** The state as `apply` sees it: the same, writable. Only `apply` and its writers import this. */
export interface ClusterDraft extends ClusterState {
  clusterId: ClusterId | undefined;
  epoch: number;
  seq: number;
  atMs: number;
  batches: Map<BatchId, BatchDraft>;
  retired: Map<BatchId, Retired>;
  batchByName: Map<string, BatchId>;
  attempts: Map<AttemptId, Attempt>;
  nodes: Map<NodeId, NodeDraft>;
  /** Batches in which nothing waits or lives any more, and whose end has not been noted. */
  finished: Set<BatchId>;
  gap: LogGap | undefined;
  access: AccessDraft;
}

export interface BatchDraft extends Batch {
  parts: Submission[];
  rows: JobRowsDraft;
  queues: QueueDraft[];
  extensions: Set<BatchId>;
  ended: Batch['ended'];
  held: string;
  tally: Tally;
  trials: Map<NodeId, Trial>;
  exclusions: Map<number, ReadonlySet<NodeId>>;
  secondTries: Map<number, SecondTry>;
  found: Map<number, number>;
  deleted: Batch['deleted'];
}

export interface NodeDraft extends Node {
  builds: Set<string>;
  failedBuilds: Map<string, { readonly message: string; readonly atMs: number }>;
  shortages: Map<BatchId, Shortage>;
  attempts: Set<AttemptId>;
}

/** The state before the first record. */
export function emptyCluster(): ClusterDraft {
  return {
    clusterId: undefined,
    epoch: 0,
    seq: 0,
    atMs: 0,
    batches: new Map(),
    retired: new Map(),
    batchByName: new Map(),
    attempts: new Map(),
    nodes: new Map(),
    finished: new Set(),
    gap: undefined,
    access: emptyAccess(),
  };
}

/** The key under which a batch's name is found. */
export function batchNameKey(namespace: string, name: string): string {
  return `${nameKey(namespace)}/${nameKey(name)}`;
}

/** The queue a job belongs to. */
export function queueOf(batch: BatchDraft, index: number): QueueDraft {
  const queue = findQueue(batch.queues, batch.rows, index);
  assert(queue, 'every job has a queue');
  return queue;
}
