import { readFile, rename, writeFile } from 'node:fs/promises';
import { background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import { writeDurably } from './durable.ts';

/**
 * Files of small archives are written without flushing each to the disk, so the mark stays this far behind, in
 * milliseconds: by then the kernel has written them, and what a power cut undoes is done again at the next start.
 */
const behindMs = 120_000;
/** Shortest time between two writes of the mark, in milliseconds. */
const everyMs = 10_000;

/** Up to which record of the log the tree is known to be complete and on disk; it may lag, it never leads. */
export class PublishedMark {
  readonly #file: string;
  readonly #clock: Clock;
  /** What has been reached and when, oldest first; one entry per `everyMs` at most. */
  #reached: { seq: number; atMs: number }[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  /** The last record that need not be looked at again; 0 when nothing is known. */
  async read(): Promise<number> {
    try {
      const seq = Number(await readFile(this.#file, 'utf8'));
      return Number.isSafeInteger(seq) && seq > 0 ? seq : 0;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return 0;
      throw error;
    }
  }

  /** The log now ends at `seq`: a mark beyond it belongs to an end that is gone, and would hide what comes in its place. */
  async notBeyond(seq: number): Promise<void> {
    if ((await this.read()) > seq) await writeDurably(this.#file, `${seq}\n`);
  }

  /** Everything up to this record has been published. */
  reached(seq: number): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#reached.at(-1);
    if (last && nowMs - last.atMs < everyMs) return;
    this.#reached.push({ seq, atMs: nowMs });
    const safe = this.#reached.filter(({ atMs }) => nowMs - atMs >= behindMs).at(-1);
    if (!safe) return;
    this.#reached = this.#reached.filter(({ seq: kept }) => kept > safe.seq);
    this.#writing = this.#writing.then(() => this.#write(safe.seq));
    background(this.#writing);
  }

  async close(): Promise<void> {
    await this.#writing;
  }

  async #write(seq: number): Promise<void> {
    try {
      await writeFile(`${this.#file}.part`, `${seq}\n`);
      await rename(`${this.#file}.part`, this.#file);
    } catch (error) {
      // Without it the next start looks at more than it must, and finds it done.
      if (!isSystemError(error, 'ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE')) throw error;
    }
  }
}
