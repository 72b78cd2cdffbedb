import type { ClientDuplexStream } from '@grpc/grpc-js';
import { errorFromStatus } from '../../base/channel/refusals.ts';
import { writeTo } from '../../base/channel/streams.ts';
import { type Deferred, deferred } from '../../base/deferred.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import type { BurstRoom } from '../../base/transfer/burst-room.ts';
import type { ArchiveAck, ArchiveChunk } from '../../proto/gen/labrun/v1/archive.ts';

/** Where a chunk belongs: a file of an attempt, or the log of a build here. */
export type PutTarget = NonNullable<ArchiveChunk['target']>;

/** Bytes of files that wait in the stream, at most (and one chunk more): the collector has an easy time with what is gone soon. */
const waitingMaxBytes = 2 ** 20;

/** Who is told what the head says to a file. */
interface Listener {
  answer(ack: ArchiveAck): void;
  fail(error: Error): void;
  /** Answers still to come to what was sent before it listened. */
  early: number;
}

/** One `Archive.Put` stream. Files of all attempts share it; each is told its own answers. */
export class PutStream {
  readonly #stream: ClientDuplexStream<ArchiveChunk, ArchiveAck>;
  readonly #listeners = new Map<string, Listener>();
  /** Chunks of each file without an answer so far: the head gives one to each, in their order. */
  readonly #unanswered = new Map<string, number>();
  #failure: Fault | undefined;
  readonly #burst: Pick<BurstRoom, 'passed'> | undefined;
  #waitingBytes = 0;
  /** Settled when fewer bytes wait, or the stream is broken. */
  #room: Deferred<void> | undefined;
  /** One writer at a time waits for a full stream; the others queue behind it. */
  #tail: Promise<void> = Promise.resolve();

  /** `burst` is told what passes. */
  constructor(stream: ClientDuplexStream<ArchiveChunk, ArchiveAck>, burst?: Pick<BurstRoom, 'passed'>) {
    this.#stream = stream;
    this.#burst = burst;
    stream.on('data', (ack: ArchiveAck) => {
      if (ack.target) this.#hear(keyOf(ack.target, ack.path), ack);
    });
    stream.on('error', (error) => this.#fail(error));
    stream.on('end', () => this.#fail(new Error('the head closed the transfer')));
    stream.on('close', () => this.#fail(new Error('the transfer was closed')));
  }

  get broken(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when the stream takes more. Rejects with `Fault` "link" when it is broken, and nothing else. */
  write(chunk: ArchiveChunk): Promise<void> {
    if (chunk.target && !this.#failure) {
      const key = keyOf(chunk.target, chunk.path);
      this.#unanswered.set(key, (this.#unanswered.get(key) ?? 0) + 1);
    }
    const turn = this.#tail.then(async () => {
      if (this.#failure) throw this.#failure;
      try {
        await this.#writeNow(chunk);
      } catch (error) {
        // In the transport's own words it would look like an end of the archive that no new try can change.
        throw this.#fail(error);
      }
    });
    this.#tail = turn.catch(() => undefined); // whoever wrote hears of it through `turn`
    return turn;
  }

  /**
   * Tells `answer` what the head says to what is sent of this file from now on, until the returned function is called. What a
   * transfer before it has left on the line is answered, too, and would look like a file that changes. One listener per file.
   */
  listen(target: PutTarget, path: string, answer: (ack: ArchiveAck) => void, fail: (error: Error) => void): () => void {
    const key = keyOf(target, path);
    const listener = { answer, fail, early: this.#unanswered.get(key) ?? 0 };
    this.#listeners.set(key, listener);
    if (this.#failure) fail(this.#failure);
    return () => {
      if (this.#listeners.get(key) === listener) this.#listeners.delete(key);
    };
  }

  close(): void {
    this.#stream.cancel();
  }

  #hear(key: string, ack: ArchiveAck): void {
    const left = (this.#unanswered.get(key) ?? 0) - 1;
    if (left > 0) this.#unanswered.set(key, left);
    else this.#unanswered.delete(key);
    const listener = this.#listeners.get(key);
    if (listener && listener.early > 0) listener.early -= 1;
    else listener?.answer(ack);
  }

  async #writeNow(chunk: ArchiveChunk): Promise<void> {
    const { length } = chunk.data;
    this.#burst?.passed(length);
    this.#waitingBytes += length;
    await writeTo(this.#stream, chunk, () => {
      this.#waitingBytes -= length;
      this.#room?.resolve();
    });
    while (this.#waitingBytes >= waitingMaxBytes) {
      if (this.#failure) throw this.#failure;
      this.#room = deferred();
      await this.#room.promise;
    }
  }

  #fail(error: unknown): Fault {
    if (this.#failure) return this.#failure;
    const fault =
      error instanceof Error && 'code' in error && 'metadata' in error
        ? errorFromStatus(error as Parameters<typeof errorFromStatus>[0]) // what grpc-js gives has these members
        : error;
    const failure = new Fault('link', `the transfer to the head was interrupted: ${messageOf(fault)}`, {
      cause: fault,
    });
    this.#failure = failure;
    this.#room?.resolve();
    for (const { fail } of this.#listeners.values()) fail(failure);
    this.#listeners.clear();
    this.#unanswered.clear();
    return failure;
  }
}

function keyOf(target: PutTarget, path: string): string {
  if (target.$case === 'build') return `build ${target.value.batchId}`;
  const { clusterId, index, attempt } = target.value;
  return `${clusterId} ${target.value.batchId}.${index}.${attempt} ${path}`;
}
