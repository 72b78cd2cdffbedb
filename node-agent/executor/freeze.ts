import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import type { FreezingName, Frozen } from '../ports.ts';

/** A way to hold one tree still. */
export interface Grip {
  readonly name: FreezingName;
  /** Whether it is held, by whichever agent. */
  isHeld(): boolean;
  /**
   * Stops everything and resolves when nothing runs, or after some seconds. Ends early once `isWanted` says no. Harmless,
   * and cheap, when it is held already.
   */
  hold(isWanted: () => boolean): Promise<Held>;
  /** Lets everything go on that `hold` has stopped. */
  letGo(): void;
  /** Whether somebody else may let parts of it go on, so that it must be looked at from time to time. */
  readonly mustWatch: boolean;
}

/** Of how many a grip has been tried, and who runs all the same. */
export interface Held {
  readonly processes: number;
  readonly missed: readonly number[];
}

/** How often a tree is looked at that others may let go on, in milliseconds. */
const watchEveryMs = 5_000;

/** A tree that is to stand still, or not: to leave it cuts a freeze short. */
export class FrozenTree {
  readonly #clock: Clock;
  readonly #grip: Grip;
  /** There as long as it shall stand still; a later wish is another one. */
  #wish: { holding: Promise<Frozen> | undefined } | undefined;
  #timer: Timer | undefined;

  constructor(grip: Grip, clock: Clock) {
    this.#grip = grip;
    this.#clock = clock;
  }

  get isFrozen(): boolean {
    return this.#wish !== undefined || this.#grip.isHeld();
  }

  freeze(): Promise<Frozen> {
    this.#wish ??= { holding: undefined };
    const wish = this.#wish;
    wish.holding ??= this.#hold(() => this.#wish === wish).finally(() => {
      wish.holding = undefined;
    });
    return wish.holding;
  }

  /** Does nothing to it any more; it stays as it is. */
  leave(): void {
    this.#wish = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #hold(isWanted: () => boolean): Promise<Frozen> {
    const startedMs = this.#clock.monotonicMs();
    const held = await this.#grip.hold(isWanted);
    if (isWanted()) this.#watch();
    return { ...held, tookMs: this.#clock.monotonicMs() - startedMs };
  }

  #watch(): void {
    if (!this.#grip.mustWatch) return;
    const wish = this.#wish;
    // A machine that is short of memory or descriptors may fail one look: the next one sees what that one would have.
    const look = () => this.freeze().then(undefined, () => this.#wish === wish && this.#watch());
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(watchEveryMs, () => background(look()));
  }
}
