import type { Random } from './random.ts';

/** Waits between tries: they grow to a cap, and no two that try wait alike. The only place where retries are timed. */
export interface Backoff {
  /** Milliseconds to wait before the next try. */
  nextMs(): number;
  /** The last try went well. */
  reset(): void;
}

/** First wait and longest wait, in milliseconds. */
export interface BackoffLimits {
  readonly firstMs: number;
  readonly capMs: number;
}

/** For a disk that said no: nothing tells when it has room, and asking it costs little. */
export const diskLimits: BackoffLimits = { firstMs: 250, capMs: 2_000 };

/** Doubles from `firstMs` to `capMs`; each wait is between half of that and all of it. */
export function makeBackoff(limits: BackoffLimits, random: Random): Backoff {
  let tries = 0;
  return {
    nextMs() {
      const fullMs = Math.min(limits.capMs, limits.firstMs * 2 ** Math.min(tries, 30));
      tries += 1;
      return fullMs / 2 + (fullMs / 2) * random.next();
    },
    reset() {
      tries = 0;
    },
  };
}
