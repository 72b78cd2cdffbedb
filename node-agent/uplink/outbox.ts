import type { AgentNews } from '../wire.ts';
import type { Urgency } from './urgency.ts';

/**
 * What the head has still to be told. It holds names, not messages: news is made when it is sent, so that many changes
 * of one attempt within a flush are one report of where it is then. What was sent and not acknowledged when a
 * connection breaks is covered by the next hello, which says everything; what must survive a kill is in the record.
 */
export class Outbox {
  readonly #waiting = new Map<string, () => AgentNews | undefined>();
  /** Passing news: worth telling only if it still holds in a moment. */
  readonly #passing = new Map<string, () => AgentNews | undefined>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** There is news under this key; `make` says what, or nothing when it has become pointless. */
  note(key: string, make: () => AgentNews | undefined, urgency: Urgency): void {
    if (urgency === 'passing') {
      if (!this.#waiting.has(key)) this.#passing.set(key, make);
      return;
    }
    this.#passing.delete(key);
    this.#waiting.set(key, make);
  }

  /** The moment has passed: what is still noted as passing counts. */
  settle(): void {
    for (const [key, make] of this.#passing) this.#waiting.set(key, make);
    this.#passing.clear();
  }

  /** Takes out up to `max` pieces of news, oldest first, as they are now. */
  take(max: number): readonly AgentNews[] {
    const news: AgentNews[] = [];
    for (const [key, make] of this.#waiting) {
      if (news.length >= max) break;
      this.#waiting.delete(key);
      const made = make();
      if (made) news.push(made);
    }
    return news;
  }

  /** A hello is about to say everything. */
  clear(): void {
    this.#waiting.clear();
    this.#passing.clear();
  }
}
