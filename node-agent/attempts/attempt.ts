import type { AttemptId, Fence } from '../../base/ids.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import { fullPace, type Pace } from './pace.ts';

/** One execution of a job on this node, as its agent knows it. Only `step` makes a new one of an old one. */
export interface Attempt {
  readonly id: AttemptId;
  readonly assignment: Assignment;
  readonly phase: Phase;
  /** Why its processes are to end before they would by themselves. */
  readonly stop: Stop | undefined;
  readonly pace: Pace;
}

/** What the head sent along with the attempt; never changes. */
export interface Assignment {
  readonly fence: Fence;
  readonly namespace: string;
  readonly batch: string;
  readonly specHash: ContentHash;
  /** Number of the job in that spec. */
  readonly specIndex: number;
  /** Granted cores. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly user: string;
}

/**
 * Asked for by the head, by the job's time limit, by another limit it came to, no longer wanted at all (nothing is kept), or
 * given back before it was started.
 */
export type Stop = 'cancelled' | 'timeout' | 'discarded' | 'returned' | LimitName;

/** What a job may use so much of and no more; the same as the executor's. */
export type LimitName = 'memory' | 'processes' | 'disk';

/** Where an attempt is; each phase carries only what is true in it. */
export type Phase =
  /** On disk here; nothing has been started. */
  | { readonly kind: 'assigned' }
  /** Its cores are its own; inputs are fetched and laid out. */
  | { readonly kind: 'staging' }
  /** Waits for its build. */
  | { readonly kind: 'building' }
  /** The executor has been asked; there may be processes already. */
  | { readonly kind: 'starting' }
  | { readonly kind: 'running'; readonly startedAtMs: number }
  /** Its main process is gone; what is left of it is killed, what it keeps is swept and sent. */
  | {
      readonly kind: 'archiving';
      readonly startedAtMs: number | undefined;
      readonly endedAtMs: number;
      readonly ending: Ending;
    }
  /** The head has everything but the word; reported until it is settled. */
  | ({ readonly kind: 'ended'; readonly startedAtMs: number | undefined; readonly endedAtMs: number } & Finish)
  /** The head has it for good, or never wants it: its folder is being removed. */
  | { readonly kind: 'wiping' }
  /** A tombstone: kept so that the same fence is never started again. */
  | { readonly kind: 'wiped' }
  | { readonly kind: 'returned'; readonly reason: ReturnReason; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string }
  /** The head will never name it again: the folder goes, then the memory of it. */
  | { readonly kind: 'forgotten' };

/** How the processes ended, before anything is known about what they left. */
export type Ending =
  | { readonly kind: 'exited'; readonly exitCode: number; readonly ranMs: number }
  | { readonly kind: 'signalled'; readonly signal: number; readonly ranMs: number }
  | { readonly kind: 'timeout'; readonly ranMs: number }
  /** It wanted more than it may have, and was ended for it or did not get over being refused. */
  | { readonly kind: 'limited'; readonly limit: LimitName; readonly ranMs: number }
  | { readonly kind: 'cancelled'; readonly ranMs: number }
  | { readonly kind: 'staging-failed'; readonly message: string };

/** What the head gets to know at the end. */
export interface Finish {
  readonly outcome: Outcome;
  readonly manifestHash: ContentHash;
  /** The whole archive when it is small. */
  readonly inline: InlineArchive | undefined;
}

/** How an attempt ended, in the head's words. */
export interface Outcome {
  readonly state: 'succeeded' | 'failed' | 'cancelled';
  /** Empty unless failed. */
  readonly reason: '' | FailureReason;
  readonly message: string;
  readonly exitCode: number | undefined;
  readonly signal: number | undefined;
  readonly ranMs: number;
}

export type FailureReason =
  | 'exit'
  | 'signal'
  | 'timeout'
  | 'oom'
  | 'disk-full'
  | 'missing-output'
  | 'staging-failed'
  | 'archive-failed'
  | 'processes';
export type ReturnReason = 'recalled' | 'build-failed' | 'staging-failed' | 'capability-gone' | 'disk-full';

/** An archive small enough to travel inside the report. Paths are `log` or `archive/…`. */
export interface InlineArchive {
  readonly manifest: Uint8Array;
  readonly files: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** A new attempt, as the head has assigned it. */
export function assigned(id: AttemptId, assignment: Assignment): Attempt {
  return { id, assignment, phase: { kind: 'assigned' }, stop: undefined, pace: fullPace };
}
