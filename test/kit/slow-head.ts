import { Duplex } from 'node:stream';
import { asContentHash } from '../../base/transfer/hash.ts';
import { StagedFile } from '../../head/archive/staged-file.ts';
import { PutStream } from '../../node-agent/uplink/put-stream.ts';
import type { ArchiveAck, ArchiveChunk } from '../../proto/gen/labrun/v1/archive.ts';

/** Chunks that the line holds: then the sender waits. */
const lineHolds = 4;

/** A head at the end of a slow line: it takes one chunk after the other, each when the test says so. */
export class SlowHead {
  readonly stream: PutStream;
  /** Chunks on their way, oldest first. */
  readonly waiting: ArchiveChunk[] = [];
  /** Bytes of all chunks that it has taken. */
  takenBytes = 0;
  /** Says no to each chunk with this code; empty: takes it. */
  refuses = '';
  readonly #file: StagedFile;
  readonly #line: Duplex;
  #room: (() => void) | undefined;

  /** Keeps the one file that comes at `path`. */
  constructor(path: string) {
    this.#file = new StagedFile(path, 0);
    this.#line = new Duplex({
      objectMode: true,
      highWaterMark: 1,
      read: () => undefined,
      write: (chunk: ArchiveChunk, _, done) => {
        this.waiting.push(chunk);
        if (this.waiting.length < lineHolds) done();
        else this.#room = done;
      },
    });
    // All that a transfer uses of gRPC's stream is in every one of Node's.
    this.stream = new PutStream(this.#line as unknown as ConstructorParameters<typeof PutStream>[0]);
  }

  /** What it has of the file. */
  get staged(): { readonly sizeBytes: number; readonly hash: string } {
    return { sizeBytes: this.#file.sizeBytes, hash: this.#file.verified ?? '' };
  }

  /** Takes the oldest chunk, if there is one, and answers it. Whoever sends has heard of it when it resolves. */
  async take(): Promise<void> {
    const chunk = this.waiting.shift();
    if (chunk !== undefined) {
      this.#line.push({ target: chunk.target, path: chunk.path, ...(await this.#answerTo(chunk)) });
      const room = this.#room;
      this.#room = undefined;
      room?.();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Goes on taking until the transfer is over, whatever became of it. */
  async takeUntil(over: Promise<unknown>): Promise<void> {
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    over.then(end, end);
    while (!isOver) await this.take();
  }

  close(): void {
    this.#line.destroy();
  }

  async #answerTo({ offset, data, truncate, finalHash }: ArchiveChunk): Promise<Omit<ArchiveAck, 'target' | 'path'>> {
    if (this.refuses !== '') {
      return { offset: 0n, verified: false, refusedCode: this.refuses, refusedMessage: 'no' };
    }
    this.takenBytes += data.length;
    const piece = { offset: Number(offset), data, truncate, finalHash: asContentHash(finalHash) };
    const taken = await this.#file.take(piece);
    return { offset: BigInt(taken.offset), verified: taken.verified, refusedCode: '', refusedMessage: '' };
  }
}
