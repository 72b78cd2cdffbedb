/** Lets tasks wait for a condition that comes and goes. Whoever makes it true calls `opened`. */
export class Gate {
  readonly #isOpen: () => boolean;
  readonly #waiting = new Set<() => void>();

  /** `isOpen`: whether the condition holds now; asked again after each `opened`. */
  constructor(isOpen: () => boolean) {
    this.#isOpen = isOpen;
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The condition may hold now. */
  opened(): void {
    for (const resume of [...this.#waiting]) resume();
  }

  /** Resolves while the condition holds: at once, or after the `opened` by which it does. Rejects with the signal's reason. */
  async pass(signal: AbortSignal): Promise<void> {
    while (!this.#isOpen()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const resume = () => {
          this.#waiting.delete(resume);
          signal.removeEventListener('abort', resume);
          resolve();
        };
        this.#waiting.add(resume);
        signal.addEventListener('abort', resume, { once: true });
      });
    }
  }
}
