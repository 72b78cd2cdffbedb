import { assert } from './assert.ts';
import { type Deferred, deferred } from './deferred.ts';

/**
 * Asks about many small things with few questions: one is under way at a time, and what is asked for meanwhile goes together in the
 * next. Callers bound how much that is.
 */
export class Together<Item, Result> {
  readonly #ask: (items: readonly Item[]) => Promise<readonly Result[]>;
  #waiting: { readonly item: Item; readonly answer: Deferred<Result> }[] = [];
  #asking: Promise<void> | undefined;

  /** `ask` answers for each item, in their order; when it rejects, each of them does. */
  constructor(ask: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.#ask = ask;
  }

  ask(item: Item): Promise<Result> {
    const answer = deferred<Result>();
    this.#waiting.push({ item, answer });
    this.#asking ??= this.#askAll();
    return answer.promise;
  }

  async #askAll(): Promise<void> {
    await Promise.resolve(); // whoever else asks in this turn goes along
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      try {
        const results = await this.#ask(group.map(({ item }) => item));
        assert(results.length === group.length, 'every item has an answer');
        for (const [at, { answer }] of group.entries()) answer.resolve(results[at] as Result); // as many as were asked for
      } catch (error) {
        for (const { answer } of group) answer.reject(error);
      }
    }
    this.#asking = undefined;
  }
}
