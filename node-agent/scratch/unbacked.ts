import type { EntryFacts } from './walk.ts';

/** What of a file tells how much of it is on a disk. */
interface SizeFacts extends Pick<EntryFacts, 'nlink' | 'size' | 'blocks'> {
  readonly dev: number | bigint;
  readonly ino: number | bigint;
}

/**
 * Bytes that files claim and no disk holds: the holes of sparse files, and further names of one file. They cost a job
 * nothing and would travel in full, so that one `truncate -s 1T` kept the network busy for hours. Real data never counts: the
 * disk bounds it.
 */
export class UnbackedBytes {
  readonly #maxBytes: number;
  /** Of files with several names, those that have been counted. */
  readonly #seen = new Set<string>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether there is room for one more file; what does not fit is not counted. */
  take(facts: SizeFacts): boolean {
    const bytes = this.#of(facts);
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  #of({ dev, ino, nlink, size, blocks }: SizeFacts): number {
    if (nlink > 1) {
      const name = `${dev}:${ino}`;
      if (this.#seen.has(name)) return size;
      this.#seen.add(name);
    }
    return Math.max(0, size - blocks * 512);
  }
}

/** What a log may claim without holding it: some filesystems say late what they hold, and no program punches holes into its log. */
const logHolesMaxBytes = 4 * 2 ** 30;

/** Whether a log was made long, not written: it would travel for hours and say nothing. */
export function isHollowLog({ size, blocks }: Pick<SizeFacts, 'size' | 'blocks'>): boolean {
  return size - blocks * 512 > logHolesMaxBytes;
}
