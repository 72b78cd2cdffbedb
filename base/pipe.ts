import { deferred } from './deferred.ts';

/**
 * Hands values from one task to another, a few at a time: whoever writes waits while `max` are unread. Closed, it takes
 * nothing any more; what it holds is still read.
 */
export class Pipe<Value extends object> implements AsyncIterable<Value> {
  readonly #max: number;
  readonly #held: Value[] = [];
  #isClosed = false;
  #changed = deferred<void>();

  constructor(max: number) {
    this.#max = max;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves with whether it was taken, which it is unless the pipe is closed. */
  async write(value: Value): Promise<boolean> {
    while (!this.#isClosed && this.#held.length >= this.#max) await this.#changed.promise;
    if (this.#isClosed) return false;
    this.#held.push(value);
    this.#wake();
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Value> {
    for (;;) {
      const [next] = this.#held;
      if (next !== undefined) {
        this.#held.shift();
        this.#wake();
        yield next;
      } else if (this.#isClosed) return;
      else await this.#changed.promise;
    }
  }

  #wake(): void {
    const before = this.#changed;
    this.#changed = deferred();
    before.resolve();
  }
}
