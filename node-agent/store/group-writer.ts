import { assert } from '../../base/assert.ts';
import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { type Deferred, deferred } from '../../base/deferred.ts';

/** One change of the record: a new value, or none for a key that goes. */
export type Change =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

/** Writes changes: when it resolves they are on the disk with `sync`, else in the hands of the kernel. */
export type WriteChanges = (changes: readonly Change[], sync: boolean) => Promise<void>;

/** After how long every change goes to the disk, in milliseconds. */
const patienceMs = 20;

/**
 * Gathers changes while a write is under way and writes them all with the next one: the disk is asked once for many
 * attempts. What is written outlives this process; what is durable, a power cut too, and all becomes so by itself. What
 * waits is bounded by the attempts an agent holds, for a later change of a key replaces the earlier.
 */
export class GroupWriter {
  readonly #write: WriteChanges;
  readonly #clock: Clock;
  #fresh = new Map<string, Change>();
  /** Written and not synced. A synced write repeats them: LevelDB syncs only the file it is writing to. */
  #unsynced = new Map<string, Change>();
  #running: Promise<void> = Promise.resolve();
  #next: { readonly done: Promise<void>; sync: boolean } | undefined;
  /** Of those who wait for whatever synced write comes. */
  #soon: Deferred<void> | undefined;
  #timer: Timer | undefined;

  /** A failed write fails every later one, too. */
  constructor(write: WriteChanges, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  add(change: Change): void {
    this.#fresh.set(change.key, change);
    this.#timer ??= this.#clock.setTimer(patienceMs, () => background(this.durable()));
  }

  /** Resolves when everything added so far outlives this process. */
  written(): Promise<void> {
    if (this.#next === undefined && this.#fresh.size === 0) return this.#running;
    return this.#begin().done;
  }

  /** Resolves when everything added so far is on disk. */
  durable(): Promise<void> {
    if (this.#isIdle) return this.#running;
    const next = this.#begin();
    next.sync = true;
    return next.done;
  }

  /** The same, without asking for a write: one comes soon in any case. */
  durableSoon(): Promise<void> {
    if (this.#isIdle) return this.#running;
    this.#soon ??= deferred();
    return this.#soon.promise;
  }

  /** Whether the write that is under way, or was the last, brings everything to the disk. */
  get #isIdle(): boolean {
    return this.#next === undefined && this.#fresh.size === 0 && this.#unsynced.size === 0;
  }

  #begin(): { readonly done: Promise<void>; sync: boolean } {
    this.#next ??= { done: this.#writeNext(), sync: false };
    return this.#next;
  }

  async #writeNext(): Promise<void> {
    // The turn's other changes still join; then what is being written now must end first.
    await this.#running;
    assert(this.#next, 'a write that begins was announced');
    const { done, sync } = this.#next;
    this.#running = done;
    this.#next = undefined;
    const fresh = this.#fresh;
    this.#fresh = new Map();
    const unsynced = new Map([...this.#unsynced, ...fresh]);
    this.#unsynced = sync ? new Map() : unsynced;
    if (sync) {
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#soon?.resolve(done);
      this.#soon = undefined;
    }
    await this.#write([...(sync ? unsynced : fresh).values()], sync);
  }
}
