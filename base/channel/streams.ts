import type { Writable } from 'node:stream';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { errorFromStatus } from './refusals.ts';

/**
 * Reads a server's stream with backpressure. A refusal is thrown as `RefusedError`; leaving the loop cancels the call.
 * Call it as soon as there is a stream: an error that comes before the first message is read is kept for the reader.
 */
export function readStream<Message>(
  stream: ClientReadableStream<Message>,
  signal?: AbortSignal,
): AsyncGenerator<Message> {
  const failure: { error?: unknown } = {};
  stream.on('error', (error) => {
    failure.error ??= error;
  });
  return messagesOf(stream, failure, signal);
}

async function* messagesOf<Message>(
  stream: ClientReadableStream<Message>,
  failure: { readonly error?: unknown },
  signal: AbortSignal | undefined,
): AsyncGenerator<Message> {
  const abort = () => stream.cancel();
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  try {
    for await (const message of stream) yield message;
    if (failure.error !== undefined) throw failure.error;
  } catch (error) {
    signal?.throwIfAborted();
    throw isServiceError(error) ? errorFromStatus(error) : error;
  } finally {
    signal?.removeEventListener('abort', abort);
    stream.cancel();
  }
}

/**
 * Writes one message and resolves when the stream takes more. A full stream makes the writer wait: nothing is buffered
 * without bound. Rejects when the stream fails or closes first. Writers that wait at the same time wait together.
 * `taken` is called when the transport has the message; it may never be when the stream fails.
 */
export function writeTo<Message>(
  stream: Writable & { write(message: Message, taken?: () => void): boolean },
  message: Message,
  taken?: () => void,
): Promise<void> | undefined {
  // A stream that is gone says nothing any more: waiting for a word from it would be for ever.
  if (stream.destroyed) return Promise.reject(new Error('the stream was closed'));
  if (stream.write(message, taken)) return undefined;
  let room = rooms.get(stream);
  if (room === undefined) {
    room = untilRoom(stream);
    rooms.set(stream, room);
  }
  return room;
}

/** What those wait for who wrote to a full stream: one set of listeners for all of them. */
const rooms = new WeakMap<Writable, Promise<void>>();

function untilRoom(stream: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error) => {
      rooms.delete(stream); // whoever fills the stream from here on waits for its next drain
      stream.off('drain', drained);
      stream.off('error', done);
      stream.off('close', closed);
      if (error) reject(error);
      else resolve();
    };
    const drained = () => done();
    const closed = () => done(new Error('the stream was closed'));
    stream.on('drain', drained);
    stream.on('error', done);
    stream.on('close', closed);
  });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}
