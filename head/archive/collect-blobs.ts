import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import type { Pinned } from '../pins.ts';
import { type BlobStore, holdMs } from './blobs.ts';

/** Shortest time between two rounds, in milliseconds: each looks at every hold. */
const roundMinMs = 600_000;

/**
 * Drops uploads nobody has gone on with, and content once no batch needs it and every hold on it has run out. One timer, set to when the next hold does;
 * `pinned` answers what the batches of each namespace need now.
 */
export class BlobCollector {
  readonly #blobs: BlobStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #pinned: () => Promise<Pinned>;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(blobs: BlobStore, clock: Clock, pinned: () => Promise<Pinned>, log: Log) {
    this.#blobs = blobs;
    this.#clock = clock;
    this.#log = log;
    this.#pinned = pinned;
  }

  start(): void {
    this.#setTimer(roundMinMs);
  }

  /** One round; answers how long until the next hold runs out, in milliseconds. */
  async collect(): Promise<number> {
    this.#blobs.beginRound();
    await this.#blobs.dropDeadParts();
    const { wanted: pinned, isComplete } = await this.#pinned();
    // Put back later, the spec that is missing may name any of them.
    if (!isComplete) return roundMinMs;
    const nowMs = this.#clock.nowMs();
    // By namespace for the holds; of content that a batch needs it is all the same whether a hold is left.
    const wanted = new Set<ContentHash>([...pinned.values()].flatMap((hashes) => [...hashes]));
    let nextMs = holdMs;
    for await (const { namespace, hash, renewedAtMs } of this.#blobs.holds()) {
      const leftMs = renewedAtMs + holdMs - nowMs;
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      if (leftMs > 0 || pinned.get(namespace)?.has(hash)) wanted.add(hash);
      else this.#blobs.dropHold(namespace, hash);
    }
    for await (const hash of this.#blobs.contents()) {
      if (!wanted.has(hash)) await this.#blobs.dropContent(hash);
    }
    return Math.max(roundMinMs, nextMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #setTimer(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#clock.setTimer(delayMs, () => {
      this.#running = this.#collectOrSay().then((nextMs) => this.#setTimer(nextMs));
      background(this.#running);
    });
  }

  /** What a disk that is read-only, or a process out of descriptors, cannot do now is done in a later round. */
  async #collectOrSay(): Promise<number> {
    try {
      return await this.collect();
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'cannot remove inputs that nobody needs; trying again later');
      return roundMinMs;
    }
  }
}
