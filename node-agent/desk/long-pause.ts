import type { DeskPolicy } from '../../config/desk-policy.ts';

/** How long jobs have stood still here, and when that is so long that they look for another machine. */
export class LongPause {
  #sinceMs: number | undefined;

  /** Jobs stand still from now on, or do not. Wall clock. */
  note(isPaused: boolean, nowMs: number): void {
    this.#sinceMs = isPaused ? (this.#sinceMs ?? nowMs) : undefined;
  }

  /**
   * When they are to look for another machine, `Infinity` for never as things are: after so long a pause, or when
   * memory has been short for so long although they stand still. `shortSinceMs`: since when it is; nothing while it is not.
   */
  dueMs(policy: DeskPolicy, shortSinceMs: number | undefined): number {
    if (this.#sinceMs === undefined) return Number.POSITIVE_INFINITY;
    const { requeueAfterPauseMs = Number.POSITIVE_INFINITY, requeueAfterMemoryMs } = policy;
    const memoryMs = Math.max(this.#sinceMs, shortSinceMs ?? Number.POSITIVE_INFINITY);
    return Math.min(this.#sinceMs + requeueAfterPauseMs, memoryMs + requeueAfterMemoryMs);
  }
}
