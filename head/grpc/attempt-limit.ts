import type { Clock } from '../../base/clock.ts';

/** Failed tries of one address before it must wait, and how long one try takes to be forgiven, in milliseconds. */
const burst = 10;
const forgiveMs = 6_000;
/** Addresses remembered; beyond, the longest silent is forgotten. */
const addressesMax = 10_000;

/** Slows down who guesses: each address has a few failures, and earns a new one every six seconds. */
export class AttemptLimit {
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long an address must wait before its next try, in milliseconds; 0: it need not. */
  waitMs(address: string): number {
    const { count } = this.#now(address);
    return count < burst ? 0 : Math.ceil((count - burst + 1) * forgiveMs);
  }

  /** A try of this address has failed. */
  failed(address: string): void {
    const { count } = this.#now(address);
    this.#failures.delete(address);
    this.#failures.set(address, { count: count + 1, atMs: this.#clock.monotonicMs() });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= addressesMax) break;
      this.#failures.delete(oldest);
    }
  }

  #now(address: string): { readonly count: number } {
    const known = this.#failures.get(address);
    if (!known) return { count: 0 };
    const forgiven = (this.#clock.monotonicMs() - known.atMs) / forgiveMs;
    return { count: Math.max(0, known.count - forgiven) };
  }
}
