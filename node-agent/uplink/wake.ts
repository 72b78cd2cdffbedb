/** Wakes one waiting loop. A call that comes while it works is remembered; many are one. */
export class Wake {
  #pending = false;
  #resume: (() => void) | undefined;

  now(): void {
    this.#pending = true;
    this.#resume?.();
  }

  /** Resolves at the next `now`, or at once when it came already. */
  async wait(): Promise<void> {
    if (!this.#pending) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
      });
      this.#resume = undefined;
    }
    this.#pending = false;
  }
}
