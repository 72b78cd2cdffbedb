import type { BatchId, NodeId } from '../../base/ids.ts';

/** Names one attempt within the cluster. */
export interface AttemptRef {
  readonly batchId: BatchId;
  readonly index: number;
  readonly attempt: number;
}

/** Where a live attempt is; each phase carries only what is true in it. */
export type AttemptPhase =
  | { readonly kind: 'assigned' }
  | { readonly kind: 'staging' }
  | { readonly kind: 'building' }
  | { readonly kind: 'running'; readonly startedAtMs: number }
  | { readonly kind: 'paused'; readonly startedAtMs: number }
  | { readonly kind: 'archiving'; readonly startedAtMs: number | undefined };

/** A live attempt. Ended ones are only rows. */
export interface Attempt {
  readonly ref: AttemptRef;
  readonly nodeId: NodeId;
  /** Granted cores. */
  readonly cpus: number;
  readonly phase: AttemptPhase;
  readonly sinceMs: number;
  /** For how long it was paused before this phase, as the head was told; its end says it exactly. */
  readonly pausedMs: number;
  /** The head has asked for it back; only `returned` frees the job. */
  readonly recalled: boolean;
  /** It was told to stop. */
  readonly cancelling: boolean;
  /** When it has stopped, its job waits again; otherwise it is cancelled. */
  readonly requeueing: boolean;
  /** Its node has been silent past its lease: still its own, but open to placement elsewhere. */
  readonly lapsedSinceMs: number | undefined;
}
