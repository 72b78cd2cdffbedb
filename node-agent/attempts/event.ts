import type { Finish, LimitName, ReturnReason } from './attempt.ts';

/** What happens to an attempt: words of the head, and news of its own work. Any may come twice or late. */
export type AttemptEvent =
  /** The head's words. */
  | { readonly kind: 'recall' | 'settle' | 'forget' | 'discard' }
  | { readonly kind: 'cancel'; readonly graceMs: number }
  /** The node starts nothing now: what has not been started is for another one. */
  | { readonly kind: 'give-back' }
  | { readonly kind: 'resend'; readonly paths: readonly string[] }
  /** Its cores are free. */
  | { readonly kind: 'slot' }
  | { readonly kind: 'build-awaited' }
  | { readonly kind: 'build-ready' }
  | { readonly kind: 'staged' }
  /** Staging has ended without a working folder: an input, the disk or the build is missing. */
  | { readonly kind: 'stage-returned'; readonly reason: ReturnReason; readonly message: string }
  | { readonly kind: 'stage-failed'; readonly message: string }
  /** Staging was aborted, as asked. */
  | { readonly kind: 'stage-stopped' }
  /** Its processes run: just started, or found running by a restarted agent. */
  | { readonly kind: 'started'; readonly startedAtMs: number }
  /** A restarted agent found that nothing was ever started. */
  | { readonly kind: 'never-started' }
  /** The machine was started anew since this was recorded. */
  | { readonly kind: 'rebooted' }
  | { readonly kind: 'time-over'; readonly graceMs: number }
  /** It has come to a limit while it runs. */
  | { readonly kind: 'limited'; readonly limit: LimitName }
  /** Its processes get this share of what they were granted from now on: 1 all, 0 they are stopped. */
  | { readonly kind: 'paced'; readonly share: number }
  | { readonly kind: 'exited'; readonly end: ProcessEnd }
  /** Swept, staged on the head, ready to be reported. */
  | { readonly kind: 'archived'; readonly finish: Finish }
  | { readonly kind: 'wiped' };

/** How a process tree ended; the shape of the executor's. */
export type ProcessEnd =
  | { readonly kind: 'exited'; readonly exitCode: number; readonly ranMs: number; readonly refused?: LimitName }
  | { readonly kind: 'signalled'; readonly signal: number; readonly ranMs: number; readonly refused?: LimitName }
  | { readonly kind: 'lost'; readonly message: string };

/** What is to be done about it, in this order. */
export type Effect =
  /** Put the attempt as it is now into the durable record. */
  | { readonly kind: 'save' }
  /** Tell the head, once what was saved before is on disk. */
  | { readonly kind: 'report' }
  | { readonly kind: 'stage' }
  /** Start its processes. At most once in the life of an attempt. */
  | { readonly kind: 'launch' }
  /** Stop staging, or sending. */
  | { readonly kind: 'abort' }
  | { readonly kind: 'kill'; readonly graceMs: number }
  /** Its time limit is another moment now. */
  | { readonly kind: 'pace' }
  /** Kill what is left of it, sweep, send. */
  | { readonly kind: 'archive' }
  | { readonly kind: 'resend'; readonly paths: readonly string[] }
  | { readonly kind: 'wipe' }
  /** Remove it from the record and from memory. */
  | { readonly kind: 'drop' };
