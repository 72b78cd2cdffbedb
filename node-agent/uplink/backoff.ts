import type { Random } from '../../base/random.ts';

/** Waits between tries: they grow to a cap, and no two agents wait alike. The only place where retries are timed. */
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

/** For a head that is away: it is noticed soon when it is back, and not stormed by a whole lab. */
export const reconnectLimits: BackoffLimits = { firstMs: 100, capMs: 5_000 };

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
