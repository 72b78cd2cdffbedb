import { type Refusal, refused } from '../errors.ts';

/** What a call holds while it is under way: `upload` something that is sent, `stream` a place among the listeners. */
export type CallKind = 'unary' | 'upload' | 'stream';

/** Calls of one caller, and of all, that may be under way at once. */
export type CallLimits = Readonly<Record<CallKind, { readonly perCaller: number; readonly inAll: number }>>;

const names: Readonly<Record<CallKind, string>> = { unary: 'calls', upload: 'uploads', stream: 'streams' };

/** Counts calls under way, so that no one can take all there is. */
export class Crowd {
  readonly #limits: CallLimits;
  readonly #who: string;
  readonly #byCaller = new Map<string, number>();
  readonly #all = new Map<CallKind, number>();

  /** `who` is crowded, in words: "the head". */
  constructor(limits: CallLimits, who: string) {
    this.#limits = limits;
    this.#who = who;
  }

  /** Counts one more call of this caller; answers how to end it, or why it is too many. */
  enter(caller: string, kind: CallKind): (() => void) | Refusal {
    const { perCaller, inAll } = this.#limits[kind];
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
        `Cannot take the call: ${this.#who} has too many ${names[kind]} under way (at most ${inAll}); try again in a while`,
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
