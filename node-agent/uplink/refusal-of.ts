import { RefusedError, refused } from '../../base/errors.ts';
import type { ArchiveAck } from '../../proto/gen/labrun/v1/archive.ts';

/** Why the head did not take a chunk. Codes cross the wire as text; one this release does not know counts as a plain no. */
export function refusalOf(ack: Pick<ArchiveAck, 'refusedCode' | 'refusedMessage'>): RefusedError {
  const known = ['disk-full', 'busy', 'stale', 'limit', 'not-found', 'conflict', 'denied'] as const;
  const code = known.find((name) => name === ack.refusedCode) ?? 'invalid';
  return new RefusedError(refused(code, ack.refusedMessage));
}
