import type { Clock } from '../../base/clock.ts';

/** Taken off the head's term, in milliseconds: its count begins when it notices the silence, ours with its last word. */
const marginMs = 30_000;

/**
 * For how long the head leaves this node its attempts. Past it jobs may have been started elsewhere: what runs goes on,
 * and nothing new is started until the head has said which attempts are still this node's. Time asleep counts.
 */
export class Lease {
  readonly #clock: Clock;
  #termMs = 0;
  /** On the clock that counts time asleep. */
  #untilMs = Number.NEGATIVE_INFINITY;
  #waiters: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What the head grants with each of its words, in milliseconds. Grants nothing by itself. */
  setTerm(termMs: number): void {
    this.#termMs = Math.max(0, termMs - marginMs);
  }

  get isValid(): boolean {
    return this.#clock.sinceBootMs() < this.#untilMs;
  }

  /** The head has been heard, and has said what is still ours. True when the lease had run out. */
  renew(): boolean {
    const hadRunOut = !this.isValid;
    this.#untilMs = this.#clock.sinceBootMs() + this.#termMs;
    for (const resume of this.#waiters.splice(0)) resume();
    return hadRunOut;
  }

  /** Resolves while the lease holds: at once, or when the head is heard again. Rejects with the signal's reason. */
  async valid(signal: AbortSignal): Promise<void> {
    while (!this.isValid) {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        this.#waiters.push(() => {
          signal.removeEventListener('abort', abort);
          resolve();
        });
      });
    }
  }
}
