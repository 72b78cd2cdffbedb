import { lossesMax } from './limits.ts';
import type { Batch } from './state.ts';

/**
 * Whether a job may begin anew if it loses its attempt now. That is the system's fault and counts as no retry, but a job that
 * takes its machines down must not take all of them.
 */
export function mayLoseAnother(batch: Pick<Batch, 'rows'> | undefined, index: number): boolean {
  return (batch?.rows.losses[index] ?? 0) + 1 < lossesMax;
}
