import type { Writable } from 'node:stream';
import type { sendUnaryData } from '@grpc/grpc-js';
import { background } from '../background.ts';
import { cutOff, isRefusal, messageOf, type Refusal, RefusedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type StatusAnswer, statusFromError } from './refusals.ts';
import { writeTo } from './streams.ts';

/** What answering needs of a call. */
interface Answered {
  readonly cancelled: boolean;
  getPath(): string;
}

/** Answers a call once. What `act` throws becomes a status; only what is no refusal is logged. */
export function answerOnce<Response>(
  log: Log,
  call: Answered,
  callback: sendUnaryData<Response>,
  act: () => Promise<Response>,
): void {
  background(
    act().then(
      (response) => callback(null, response),
      (error: unknown) => callback(failed(log, call.getPath(), error)),
    ),
  );
}

/** The same for a call that sends. Who has gone while sending hears nothing, and that their stream broke off is no news. */
export function answerSender<Response>(
  log: Log,
  call: Answered,
  callback: sendUnaryData<Response>,
  act: () => Promise<Response>,
): void {
  background(
    act().then(
      (response) => callback(null, response),
      (error: unknown) => callback(call.cancelled ? statusFromError(error) : failed(log, call.getPath(), error)),
    ),
  );
}

/** What answering with a stream needs of a call. */
type Answering = Answered & { end(): unknown; emit(event: 'error', status: StatusAnswer): boolean };

/** Answers a call with what `act` writes to it, and ends it when that is done. */
export function answerStream(log: Log, call: Answering, act: () => Promise<void>): void {
  background(
    act().then(
      () => call.end(),
      (error: unknown) => {
        if (!call.cancelled) call.emit('error', failed(log, call.getPath(), error));
      },
    ),
  );
}

/**
 * Writes messages to a call as fast as they are read there, until the caller has gone; `check` is called before each. A
 * slow reader makes whoever makes them wait.
 */
export async function pour<Message>(
  call: Writable & { readonly cancelled: boolean; write(message: Message): boolean },
  messages: AsyncIterable<Message>,
  check: () => void = () => undefined,
): Promise<void> {
  for await (const message of messages) {
    if (call.cancelled) return;
    check();
    await writeTo(call, message);
  }
}

/** A value, or its refusal thrown: inside a handler both ends of a call are one `try`. */
export function orThrow<Value>(value: Value | Refusal): Value {
  if (isRefusal(value)) throw new RefusedError(value);
  return value;
}

/** The status for what went wrong. */
export function failed(log: Log, path: string, error: unknown): StatusAnswer {
  if (!(error instanceof RefusedError)) log.error({ path, error: cutOff(messageOf(error)) }, 'a call failed');
  return statusFromError(error);
}
