import type { Refusal } from '../../base/errors.ts';
import type { BatchId, ClusterId, NodeId } from '../../base/ids.ts';
import type { AccessCommand } from './access-command.ts';
import type { AttemptRef } from './attempt.ts';
import type { Event, InlineArchive, NodeFacts, Outcome, ProgressPhase, Submission } from './event.ts';
import type { JobRanges } from './job-ranges.ts';
import type { ToldYield } from './yielding.ts';

/** What is asked of the head. `decide` turns a command into events or a refusal. Ids and chance arrive inside. */
export type Command =
  | { readonly kind: 'start-head'; readonly version: string; readonly clusterId: ClusterId }
  | {
      readonly kind: 'submit';
      readonly submission: Submission;
      readonly namespace: string;
      readonly name: string;
      readonly maxRunning: number;
      readonly maxFailures: number | undefined;
      readonly origin: 'labrun' | 'distribute';
      readonly replace: boolean;
      /** Who submits, for what one person may have. */
      readonly by: string;
    }
  /** `extensionId` makes it repeatable. New and changed jobs were found outside, when the batch had `partsSeen` submissions. */
  | {
      readonly kind: 'extend';
      readonly extensionId: BatchId;
      readonly submission: Submission;
      readonly added: JobRanges;
      readonly changed: readonly (readonly [index: number, specIndex: number])[];
      readonly partsSeen: number;
    }
  /** Those that have not ended wait again, and run no more on `notOn`. */
  | {
      readonly kind: 'requeue';
      readonly batchId: BatchId;
      readonly jobs: JobRanges;
      readonly notOn: NodeId | undefined;
    }
  | { readonly kind: 'cancel' | 'hold' | 'release' | 'retry'; readonly batchId: BatchId; readonly jobs: JobRanges }
  | {
      readonly kind: 'connect-node';
      readonly nodeId: NodeId;
      readonly name: string;
      readonly version: string;
      readonly features: readonly string[];
      readonly bootId: string;
      readonly facts: NodeFacts;
      readonly builds: readonly string[];
      /** For how long its attempts stay its own while it is silent. */
      readonly leaseMs: number;
      /** What it does for the person at its desk; missing: nothing. */
      readonly yielding?: ToldYield | undefined;
      /** Every attempt it holds; missing: none. Those that this log never gave are noted. */
      readonly held?: readonly HeldAttempt[];
    }
  /** Its results are to be removed from the archive. */
  | { readonly kind: 'delete-batch'; readonly batchId: BatchId }
  /** It ended long ago and its jobs are safe in the archive, as of this deletion of its results (0: none). */
  | { readonly kind: 'retire-batch'; readonly batchId: BatchId; readonly deletedSeq: number }
  /** The archive holds this result, whole. */
  | {
      readonly kind: 'find-archive';
      readonly attempt: AttemptRef;
      /** The name of the node that made it. */
      readonly node: string;
      readonly outcome: Outcome;
      readonly manifestHash: string;
      readonly startedAtMs: number | undefined;
      readonly endedAtMs: number;
      readonly pausedMs: number;
      readonly requeued: boolean;
    }
  /** All of the archive has been searched. */
  | { readonly kind: 'note-searched'; readonly found: number; readonly message: string }
  /** A node that came back is told that an attempt it holds is over. */
  | { readonly kind: 'note-discarded'; readonly nodeId: NodeId; readonly attempt: AttemptRef }
  /** A terminal on a node is about to be opened, or has ended: `message` says how. */
  | {
      readonly kind: 'note-shell';
      readonly shellId: string;
      readonly nodeId: NodeId;
      readonly inPlaceOf: AttemptRef | undefined;
      readonly ended: { readonly message: string } | undefined;
    }
  /** The head goes on without the end of its log. */
  | { readonly kind: 'note-shortened'; readonly how: 'restored' | 'accepted'; readonly message: string }
  | { readonly kind: 'disconnect-node'; readonly nodeId: NodeId }
  | { readonly kind: 'change-node'; readonly nodeId: NodeId; readonly facts: NodeFacts }
  | { readonly kind: 'note-yield'; readonly nodeId: NodeId; readonly told: ToldYield }
  /** The node wants to be rid of it, for the person at its desk. */
  | {
      readonly kind: 'wish-requeue';
      readonly nodeId: NodeId;
      readonly attempt: AttemptRef;
      readonly reason: string;
    }
  /** It gets no jobs any more, until it is undrained. */
  | { readonly kind: 'drain-node'; readonly nodeId: NodeId; readonly reason: string }
  | { readonly kind: 'undrain-node'; readonly nodeId: NodeId }
  /** Why it takes no jobs now; empty: it does. */
  | { readonly kind: 'trouble-node'; readonly nodeId: NodeId; readonly trouble: string }
  | {
      readonly kind: 'progress-attempt';
      readonly nodeId: NodeId;
      readonly attempt: AttemptRef;
      /** `assigned`: it is there, and has not begun. */
      readonly phase: ProgressPhase | 'assigned';
      readonly startedMsAgo: number | undefined;
    }
  | {
      readonly kind: 'return-attempt';
      readonly nodeId: NodeId;
      readonly attempt: AttemptRef;
      readonly reason: string;
      readonly message: string;
    }
  | { readonly kind: 'lose-attempt'; readonly nodeId: NodeId; readonly attempt: AttemptRef; readonly message: string }
  /** Everything of the attempt is staged, hashed and on disk. */
  | {
      readonly kind: 'archive-staged';
      readonly nodeId: NodeId;
      readonly attempt: AttemptRef;
      readonly outcome: Outcome;
      readonly manifestHash: string;
      readonly startedMsAgo: number | undefined;
      readonly endedMsAgo: number;
      /** For how long in all its processes were stopped for the person at the desk. */
      readonly pausedMs: number;
      readonly inline: InlineArchive | undefined;
    }
  | {
      readonly kind: 'report-build';
      readonly nodeId: NodeId;
      readonly digest: string;
      readonly state: 'ready' | 'failed' | 'gone';
      readonly message: string;
    }
  /** Time has passed: leases and exclusions may have run out. */
  | { readonly kind: 'tick' }
  | AccessCommand;

/** An attempt that a node has; `isOver`: only the memory of it. */
export interface HeldAttempt {
  readonly attempt: AttemptRef;
  readonly isOver: boolean;
}

/** What `decide` says to a command. */
export type Verdict = { readonly kind: 'accepted'; readonly events: readonly Event[] } | Refusal;
