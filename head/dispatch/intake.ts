import type { Refusal } from '../../base/errors.ts';
import type { AttemptRef } from '../scheduler/attempt.ts';

/** Where archives arrive, as a session sees it. */
export interface ArchiveIntake {
  /**
   * Checks what is staged of an attempt against its manifest and brings it to the disk. After `sealed` nothing of it
   * changes. While the disk says no it is asked again, until the signal is aborted; rejects then, and when anything
   * else fails.
   */
  seal(attempt: AttemptRef, manifestHash: string, signal: AbortSignal): Promise<Sealed>;
  /** Resolves when there is room for one more archive. Rejects when the head stops. */
  room(): Promise<void>;
}

/** Whether a staged archive is whole. */
export type Sealed =
  | { readonly kind: 'sealed' }
  /** These files must be sent again. */
  | { readonly kind: 'resend'; readonly paths: readonly string[] }
  | Refusal;
