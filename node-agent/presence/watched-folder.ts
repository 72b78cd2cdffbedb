import { type FSWatcher, readdirSync, watch } from 'node:fs';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';

/** What comes in groups is looked at once for all of it, and has its permissions by then, in milliseconds. */
const settleMs = 1_000;
/** A folder that nobody tells of (it is not there, or there are no watches left) is looked at this often, in milliseconds. */
const againMs = 60_000;

/** A folder whose entries come and go: `look` is called when they may have. */
export class WatchedFolder {
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #look: () => void;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  /** When the timer fires, on the monotonic clock. */
  #dueMs = 0;
  #closed = false;

  constructor(clock: Clock, folder: string, look: () => void) {
    this.#clock = clock;
    this.#folder = folder;
    this.#look = look;
  }

  /** Call it before each look, so that nothing comes unseen in between. */
  watch(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed || this.#watcher !== undefined) return;
    try {
      this.#watcher = watch(this.#folder, () => this.#later(settleMs));
      this.#watcher.once('error', () => {
        this.#watcher?.close();
        this.#watcher = undefined;
        this.lookAgain();
      });
    } catch (error) {
      // ENOSPC and EMFILE: other programs of this account have all the watches that it may have.
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ENOSPC', 'EMFILE')) throw error;
      this.lookAgain();
    }
  }

  /** Something could not be seen that may be seen later. */
  lookAgain(): void {
    this.#later(againMs);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#watcher?.close();
  }

  #later(delayMs: number): void {
    const dueMs = this.#clock.monotonicMs() + delayMs;
    if (this.#closed || (this.#timer && this.#dueMs <= dueMs)) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#look();
    });
  }
}

/** Names of what is in a folder; nothing when there is none. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}
