import { type Refusal, refused } from '../../base/errors.ts';

/** Calls of one caller, and of all, that may be under way at once: uploads, subscriptions, everything that takes time. */
export const callsPerCallerMax = 512;
export const callsMax = 8_192;

/** Counts calls under way, so that no one can take all there is. */
export class Crowd {
  readonly #byCaller = new Map<string, number>();
  #all = 0;

  /** Counts one more call of this caller; answers how to end it, or why it is too many. */
  enter(caller: string): (() => void) | Refusal {
    const own = this.#byCaller.get(caller) ?? 0;
    if (own >= callsPerCallerMax) {
      return refused(
        'busy',
        `Cannot take the call: ${own} of yours are under way (at most ${callsPerCallerMax}); wait for some to end`,
      );
    }
    if (this.#all >= callsMax) {
      return refused('busy', 'Cannot take the call: the head has too many under way; try again in a while');
    }
    this.#byCaller.set(caller, own + 1);
    this.#all += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#all -= 1;
      const left = (this.#byCaller.get(caller) ?? 1) - 1;
      if (left > 0) this.#byCaller.set(caller, left);
      else this.#byCaller.delete(caller);
    };
  }
}
