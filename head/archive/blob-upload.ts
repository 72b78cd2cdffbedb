import { type FileHandle, open, rm } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { hashBeginning } from '../../base/transfer/chunk.ts';
import { type ContentHash, type RunningHash, startHash } from '../../base/transfer/hash.ts';

/** An upload of which nothing has come for this long, in milliseconds, may be gone on with: a cut is noticed by one end first. */
const silentMs = 900;

interface Start {
  /** The partial file. */
  readonly part: string;
  readonly hash: ContentHash;
  readonly sizeBytes: number;
  readonly offset: number;
  /** Beside another upload of the same content: nobody will go on with it. */
  readonly spare: boolean;
  readonly clock: Clock;
  /** Called once, when nobody writes the partial file any more, with the bytes that are in it. */
  readonly release: (receivedBytes: number) => void;
}

/** One content on its way in: bytes in order into a partial file that survives an interruption. */
export class BlobUpload {
  readonly hash: ContentHash;
  readonly part: string;
  readonly sizeBytes: number;
  readonly #file: FileHandle;
  readonly #running: RunningHash;
  readonly #release: (receivedBytes: number) => void;
  readonly #clock: Clock;
  #offset: number;
  #heardMs: number;
  readonly #spare: boolean;
  #finished = false;
  #closed = false;

  private constructor(start: Start, file: FileHandle, running: RunningHash) {
    this.hash = start.hash;
    this.part = start.part;
    this.sizeBytes = start.sizeBytes;
    this.#offset = start.offset;
    this.#release = start.release;
    this.#clock = start.clock;
    this.#heardMs = start.clock.monotonicMs();
    this.#spare = start.spare;
    this.#file = file;
    this.#running = running;
  }

  /** Throws `RefusedError` "conflict" when the upload is to go on past what is here. */
  static async open(start: Start): Promise<BlobUpload> {
    const file = await open(start.part, start.offset === 0 ? 'w+' : 'r+', 0o600).catch((error: unknown) => {
      throw start.offset > 0 ? notHere(start.hash) : error;
    });
    try {
      const running = startHash();
      if ((await hashBeginning(running, start.part, start.offset)) < start.offset) throw notHere(start.hash);
      await file.truncate(start.offset);
      return new BlobUpload(start, file, running);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get complete(): boolean {
    return this.#offset === this.sizeBytes;
  }

  /** Bytes that are here of it and that another may go on with: its line seems to be dead, and more must come. */
  get abandonedBytes(): number | undefined {
    const isSilent = this.#clock.monotonicMs() - this.#heardMs >= silentMs;
    return isSilent && !this.complete && !this.#spare ? this.#offset : undefined;
  }

  /** Throws `RefusedError` when the bytes do not follow those before, or pass the size that was said. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    if (this.#closed)
      throw new RefusedError(refused('busy', `Cannot take "${this.hash}": another upload goes on with it`));
    this.#heardMs = this.#clock.monotonicMs();
    if (offset !== this.#offset) {
      throw new RefusedError(
        refused('invalid', `Cannot take "${this.hash}": bytes at ${offset} follow ${this.#offset}`),
      );
    }
    if (offset + data.length > this.sizeBytes) {
      throw new RefusedError(refused('conflict', changed(this.hash, `has more than its ${this.sizeBytes} bytes`)));
    }
    this.#running.update(data);
    for (let from = 0; from < data.length; ) {
      const { bytesWritten } = await this.#file.write(data, from, data.length - from, this.#offset + from);
      from += bytesWritten;
    }
    this.#offset += data.length;
  }

  /** Checks the whole content and puts it on the disk. A wrong one is dropped: going on with it would never end well. */
  async finish(): Promise<void> {
    const right = this.complete && this.#running.digest() === this.hash;
    try {
      if (right) {
        await this.#sync();
        this.#finished = true;
      } else if (this.complete) {
        await rm(this.part, { force: true });
        this.#offset = 0;
      }
    } finally {
      await this.close();
    }
    if (!right) {
      throw new RefusedError(refused('conflict', changed(this.hash, 'has another hash than was said')));
    }
  }

  /** What the disk could not write is dropped: asked a second time, the system would say that all is well. */
  async #sync(): Promise<void> {
    try {
      await this.#file.sync();
    } catch (error) {
      await rm(this.part, { force: true });
      this.#offset = 0;
      throw error;
    }
  }

  /** Ends it; what has arrived stays for the next try, if there can be one. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
    if (this.#spare && !this.#finished) {
      await rm(this.part, { force: true });
      this.#offset = 0;
    }
    if (!this.#finished) this.#release(this.#offset);
  }

  /**
   * After `finish`: the partial file has been moved away, or was left where it is. Before that nobody may write to it
   * again: it would be other content that is moved.
   */
  letGo(how: 'moved' | 'left'): void {
    if (this.#finished) this.#release(how === 'moved' ? 0 : this.#offset);
    this.#finished = false;
  }
}

function changed(hash: ContentHash, how: string): string {
  return `Cannot take "${hash}": its content ${how}; the file changed while it was uploaded, so submit again`;
}

function notHere(hash: ContentHash): RefusedError {
  return new RefusedError(refused('conflict', `Cannot go on with "${hash}": less of it is here; ask what is missing`));
}
