import type { Clock } from '../../base/clock.ts';
import { Gate } from '../../base/gate.ts';

/** The part of the head's term that is not used: no two clocks run quite alike. */
const marginShare = 1 / 20;

/**
 * For how long the head leaves this node its attempts. Past it jobs may have been started elsewhere: what runs goes on,
 * and nothing new is started until the head has said which attempts are still this node's. Time asleep counts.
 */
export class Lease {
  readonly #clock: Clock;
  readonly #gate = new Gate(() => this.isValid);
  #termMs = 0;
  /** Both on the clock that counts time asleep. */
  #heardMs = Number.NEGATIVE_INFINITY;
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What the head grants from each word that it hears, in milliseconds. Grants nothing by itself, and may be less than before. */
  setTerm(termMs: number): void {
    this.#termMs = termMs * (1 - marginShare);
    this.#untilMs = this.#heardMs + this.#termMs;
  }

  get isValid(): boolean {
    return this.#clock.sinceBootMs() < this.#untilMs;
  }

  /**
   * The head has said what is still ours, and has heard a word that we sent at `heardMs` (on the clock that counts time
   * asleep): its own count begins later. What we hear may be old, when this process was stopped; when we spoke, we know.
   * True when the lease had run out and holds again.
   */
  renew(heardMs: number): boolean {
    const hadRunOut = !this.isValid;
    this.#heardMs = Math.max(this.#heardMs, heardMs);
    this.#untilMs = this.#heardMs + this.#termMs;
    this.#gate.opened();
    return hadRunOut && this.isValid;
  }

  /** Resolves while the lease holds: at once, or when the head has heard us again. Rejects with the signal's reason. */
  valid(signal: AbortSignal): Promise<void> {
    return this.#gate.pass(signal);
  }
}
