import { AssertionError } from '../../base/assert.ts';
import { messageOf } from '../../base/errors.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import type { Ending, Finish } from '../attempts/attempt.ts';
import { outcomeOf } from '../attempts/outcome.ts';

/** The end of an attempt of which nothing can be kept, not even its log. Bugs are not outcomes. */
export function unkept(ending: Ending, error: unknown): Finish {
  if (error instanceof AssertionError) throw error;
  const limits = { memoryBytes: 0, processes: 0, diskBytes: 0 };
  const known = { missing: [], lastLine: '', timeLimitMs: 0, limits, diskIsFull: false };
  const remains = { ...known, archiveProblem: messageOf(error) };
  const manifest = new Uint8Array(0);
  return { outcome: outcomeOf(ending, remains), manifestHash: hashBytes(manifest), inline: { manifest, files: [] } };
}
