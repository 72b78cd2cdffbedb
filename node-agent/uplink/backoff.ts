import { type BackoffLimits, makeBackoff } from '../../base/backoff.ts';
import { strangerCode } from '../../base/channel/tls-trouble.ts';
import { type Clock, delay } from '../../base/clock.ts';
import { Fault, isSystemError, RefusedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';

/** For a head that is away: it is noticed soon when it is back, and not stormed by a whole lab. */
export const reconnectLimits: BackoffLimits = { firstMs: 100, capMs: 5_000 };
/** For a transfer that was interrupted or put off; the head is there, or `connected` waits for it. */
export const transferLimits: BackoffLimits = { firstMs: 100, capMs: 30_000 };

/** Repeats a transfer for as long as what stops it will pass: never gives up before the signal says so. */
export async function keepTrying<Result>(
  ports: { readonly clock: Clock; readonly random: Random },
  signal: AbortSignal,
  task: () => Promise<Result>,
): Promise<Result> {
  const backoff = makeBackoff(transferLimits, ports.random);
  for (;;) {
    signal.throwIfAborted();
    try {
      return await task();
    } catch (error) {
      signal.throwIfAborted();
      if (!willPass(error)) throw error;
    }
    await delay(ports.clock, backoff.nextMs(), signal);
  }
}

/**
 * A cut connection, a head that is busy or full, descriptors that others use, and an attempt that has lapsed will pass; so will a
 * conflict: the head is just looking whether what it has is whole, as it does for each hello, and takes nothing meanwhile.
 */
function willPass(error: unknown): boolean {
  if (error instanceof RefusedError) return ['busy', 'disk-full', 'stale', 'conflict'].includes(error.refusal.code);
  if (isSystemError(error, 'EMFILE', 'ENFILE', 'ENOMEM')) return true;
  const passing = [
    'link',
    'no-room',
    'UNAVAILABLE',
    // Another machine may have the head's address for a while; results are kept until it is back.
    strangerCode,
    'CANCELLED',
    'DEADLINE_EXCEEDED',
    'INTERNAL',
    'UNKNOWN',
    'ABORTED',
  ];
  return error instanceof Fault && passing.includes(error.code);
}
