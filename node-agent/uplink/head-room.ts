import { type Backoff, diskLimits, makeBackoff } from '../../base/backoff.ts';
import { type Clock, delay } from '../../base/clock.ts';
import { type Deferred, deferred } from '../../base/deferred.ts';
import { RefusedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { unlessAborted } from '../../base/unless-aborted.ts';

/**
 * Sends while the head has room. When its disk is full, one of all the transfers of this agent tries now and then whether
 * it still is, and the others wait for that one: a lab that tried with every file would storm the head.
 */
export class HeadRoom {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #isFull = false;
  /** Set while one tries; resolves when it has found out, or has gone. */
  #trying: Deferred<void> | undefined;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#backoff = makeBackoff(diskLimits, random);
  }

  /** Does it as soon as there is room, again after each "disk-full"; rejects with any other error, or the signal's reason. */
  async send<Result>(task: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#trying) await unlessAborted(this.#trying.promise, signal);
      else {
        const sent = await (this.#isFull ? this.#try(task, signal) : this.#do(task));
        if (sent !== undefined) return sent.result;
      }
    }
  }

  /** Nothing: there is no room. */
  async #do<Result>(task: () => Promise<Result>): Promise<{ readonly result: Result } | undefined> {
    try {
      return { result: await task() };
    } catch (error) {
      if (!(error instanceof RefusedError) || error.refusal.code !== 'disk-full') throw error;
      this.#isFull = true;
      return undefined;
    }
  }

  async #try<Result>(task: () => Promise<Result>, signal: AbortSignal) {
    const trying = deferred<void>();
    this.#trying = trying;
    try {
      await delay(this.#clock, this.#backoff.nextMs(), signal);
      const sent = await this.#do(task);
      if (sent !== undefined) {
        this.#isFull = false;
        this.#backoff.reset();
      }
      return sent;
    } finally {
      this.#trying = undefined;
      trying.resolve();
    }
  }
}
