import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerReadableStream,
} from '@grpc/grpc-js';
import { background } from '../../base/background.ts';
import type { Caller } from '../../base/channel/caller.ts';
import { statusFromError, statusFromRefusal } from '../../base/channel/refusals.ts';
import { writeTo } from '../../base/channel/streams.ts';
import { cutOff, isRefusal, messageOf, type Refusal, RefusedError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Right } from '../access.ts';
import type { CallKind } from './crowd.ts';
import type { Door, Knock, Pass } from './door.ts';
import { untilSilent } from './silence.ts';
import { requestOf } from './unreadable.ts';

/** What a handler knows of its call. */
export interface CallFacts {
  readonly caller: Caller;
  readonly pass: Pass;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

/** A unary method. What it throws becomes a status; only what is no refusal is logged. */
export function unary<Request, Response>(
  door: Door,
  right: Right,
  handler: (request: Request, facts: CallFacts) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const act = () =>
      attend(door, right, call, 'unary', async (facts) => {
        const response = await handler(requestOf(call.request), facts);
        facts.pass.assertChecked();
        return response;
      });
    background(
      act().then(
        (response) => callback(null, response),
        (error: unknown) => callback(failed(door.log, call.getPath(), error)),
      ),
    );
  };
}

/** A method that answers with a stream; a slow reader makes the handler wait. */
export function serverStream<Request, Response>(
  door: Door,
  right: Right,
  handler: (request: Request, facts: CallFacts) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const act = () =>
      attend(door, right, call, 'stream', async (facts) => {
        for await (const message of handler(requestOf(call.request), facts)) {
          if (facts.signal.aborted) return;
          facts.pass.assertChecked();
          await writeTo(call, message);
        }
      });
    background(
      act().then(
        () => call.end(),
        (error: unknown) => {
          if (!call.cancelled) call.emit('error', failed(door.log, call.getPath(), error));
        },
      ),
    );
  };
}

/** A method that reads a stream and answers with one; a slow reader makes the handler wait. */
export function bidi<Request, Response>(
  door: Door,
  right: Right,
  handler: (requests: AsyncIterable<Request>, facts: CallFacts) => AsyncIterable<Response>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    const act = () =>
      attend(door, right, call, 'stream', async (facts) => {
        for await (const message of handler(messagesOf(call), facts)) {
          if (facts.signal.aborted) return;
          facts.pass.assertChecked();
          await writeTo(call, message);
        }
      });
    background(
      act().then(
        () => call.end(),
        (error: unknown) => {
          if (!call.cancelled) call.emit('error', failed(door.log, call.getPath(), error));
        },
      ),
    );
  };
}

/** A method that reads a stream and answers once; a stream that falls silent is refused. */
export function clientStream<Request, Response>(
  door: Door,
  right: Right,
  handler: (requests: AsyncIterable<Request>, facts: CallFacts) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call: ServerReadableStream<Request, Response>, callback) => {
    const act = () =>
      attend(door, right, call, 'upload', async (facts) => {
        const response = await handler(untilSilent(eachOf<Request>(call), door.clock), facts);
        facts.pass.assertChecked();
        return response;
      });
    background(
      act().then(
        (response) => callback(null, response),
        // Who has gone while sending hears nothing, and that their stream broke off is no news.
        (error: unknown) => callback(call.cancelled ? statusFromError(error) : failed(door.log, call.getPath(), error)),
      ),
    );
  };
}

/** What comes in on a two-way stream. Reading it to its end must not destroy it: the answers are still to go out. */
export function messagesOf<Request>(
  call: Pick<ServerDuplexStream<Request, unknown>, 'iterator'>,
): AsyncGenerator<Request> {
  return eachOf<Request>(call.iterator({ destroyOnReturn: false }));
}

/** Each message of a stream, the first that cannot be read thrown as its refusal. */
async function* eachOf<Request>(messages: AsyncIterable<unknown>): AsyncGenerator<Request> {
  for await (const message of messages) yield requestOf(message as Request); // the service's deserializer makes nothing else
}

/** What `attend` needs of a call. */
type Attended = Knock & { readonly cancelled: boolean; once(event: 'cancelled', listener: () => void): unknown };

/** Lets a call in and works on it, as one of those the caller may have under way. Throws the refusal of who may not. */
export async function attend<Result>(
  door: Door,
  right: Right,
  call: Attended,
  kind: CallKind,
  work: (facts: CallFacts) => Promise<Result>,
): Promise<Result> {
  const gone = new AbortController();
  const leave = () => gone.abort(new Error('the caller has gone'));
  call.once('cancelled', leave);
  const pass = await door.enter(call, right, kind);
  if (call.cancelled) leave();
  try {
    return await work({ caller: pass.caller, pass, signal: gone.signal });
  } finally {
    pass.leave();
  }
}

/** A value, or its refusal thrown: inside a handler both ends of a call are one `try`. */
export function orThrow<Value>(value: Value | Refusal): Value {
  if (isRefusal(value)) throw new RefusedError(value);
  return value;
}

/** The status for what went wrong. */
export function failed(log: Log, path: string, error: unknown) {
  if (error instanceof RefusedError) return statusFromRefusal(error.refusal);
  log.error({ path, error: cutOff(messageOf(error)) }, 'a call failed');
  return statusFromError(error);
}
