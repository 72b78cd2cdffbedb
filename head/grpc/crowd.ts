import { type Refusal, refused } from '../../base/errors.ts';

/** What a call holds while it is under way: `upload` an open file, `stream` a place among the listeners. */
export type CallKind = 'unary' | 'upload' | 'stream';

/** Calls of one caller, and of all, that may be under way at once. The table of docs/limits.md says the same. */
export const callLimits: Readonly<Record<CallKind, { readonly perCaller: number; readonly inAll: number }>> = {
  unary: { perCaller: 512, inAll: 8_192 },
  upload: { perCaller: 256, inAll: 2_048 },
  stream: { perCaller: 256, inAll: 4_096 },
};

const names: Readonly<Record<CallKind, string>> = { unary: 'calls', upload: 'uploads', stream: 'streams' };

/** Counts calls under way, so that no one can take all there is. */
export class Crowd {
  readonly #byCaller = new Map<string, number>();
  readonly #all = new Map<CallKind, number>();

  /** Counts one more call of this caller; answers how to end it, or why it is too many. */
  enter(caller: string, kind: CallKind): (() => void) | Refusal {
    const { perCaller, inAll } = callLimits[kind];
    const key = `${kind} ${caller}`;
    const own = this.#byCaller.get(key) ?? 0;
    const all = this.#all.get(kind) ?? 0;
    if (own >= perCaller) {
      return refused(
        'busy',
        `Cannot take the call: ${own} ${names[kind]} of yours are under way (at most ${perCaller}); wait for some to end`,
      );
    }
    if (all >= inAll) {
      return refused(
        'busy',
        `Cannot take the call: the head has too many ${names[kind]} under way (at most ${inAll}); try again in a while`,
      );
    }
    this.#byCaller.set(key, own + 1);
    this.#all.set(kind, all + 1);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#all.set(kind, (this.#all.get(kind) ?? 1) - 1);
      const left = (this.#byCaller.get(key) ?? 1) - 1;
      if (left > 0) this.#byCaller.set(key, left);
      else this.#byCaller.delete(key);
    };
  }
}
