/** One change of the record: a new value, or none for a key that goes. */
export type Change =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

/**
 * Gathers changes while a synced write is under way and writes them all with the next one: the disk is asked once for
 * many attempts. What waits is bounded by the attempts an agent holds, for a later change of a key replaces the earlier.
 */
export class GroupWriter {
  readonly #write: (changes: readonly Change[]) => Promise<void>;
  #waiting = new Map<string, Change>();
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** `write` must have everything on disk when it resolves. A failed write fails every later one, too. */
  constructor(write: (changes: readonly Change[]) => Promise<void>) {
    this.#write = write;
  }

  add(change: Change): void {
    this.#waiting.set(change.key, change);
  }

  /** Resolves when everything added so far is on disk. */
  durable(): Promise<void> {
    if (this.#waiting.size === 0) return this.#running ?? Promise.resolve();
    this.#next ??= this.#writeNext();
    return this.#next;
  }

  async #writeNext(): Promise<void> {
    // The turn's other changes still join; then what is being written now must end first.
    await (this.#running ?? Promise.resolve());
    const changes = [...this.#waiting.values()];
    this.#waiting = new Map();
    this.#running = this.#next;
    this.#next = undefined;
    await this.#write(changes);
  }
}
