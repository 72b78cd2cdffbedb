import { statfs } from 'node:fs/promises';
import { background } from '../base/background.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';

/** How often free space is looked at, in milliseconds: no event tells of it. */
const everyMs = 5_000;

/** Knows whether one of the head's disks is nearly full, so that nobody has to find out by failing. */
export class DiskWatch {
  readonly #folders: readonly string[];
  readonly #reserveBytes: number;
  readonly #clock: Clock;
  readonly #log: Log;
  #full = false;
  #timer: Timer | undefined;
  #closed = false;

  /** Each folder may be on a disk of its own. */
  constructor(folders: readonly string[], reserveBytes: number, clock: Clock, log: Log) {
    this.#folders = folders;
    this.#reserveBytes = reserveBytes;
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether less than the reserve was free when it was last looked at. */
  get full(): boolean {
    return this.#full;
  }

  /** Looks, and keeps looking until closed. */
  async start(): Promise<void> {
    await this.#look();
    if (!this.#closed) this.#timer = this.#clock.setTimer(everyMs, () => background(this.start()));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    let full = false;
    for (const folder of this.#folders) {
      try {
        const { bavail, bsize } = await statfs(folder);
        if (bavail * bsize < this.#reserveBytes) full = true;
      } catch (error) {
        // What cannot be measured is not refused; a write that fails says so itself.
        this.#log.warn({ folder, error: messageOf(error) }, 'cannot see how full the disk is');
      }
    }
    if (full !== this.#full) this.#log.warn({ full }, full ? 'a disk is nearly full' : 'the disks have room again');
    this.#full = full;
  }
}
