import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerDuplexStream,
  ServerReadableStream,
} from '@grpc/grpc-js';
import { background } from '../../base/background.ts';
import { type Caller, callerOf } from '../../base/channel/caller.ts';
import { statusFromError, statusFromRefusal } from '../../base/channel/refusals.ts';
import { writeTo } from '../../base/channel/streams.ts';
import { messageOf, type Refusal, RefusedError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';

/** What a handler knows of its call. */
export interface CallFacts {
  readonly caller: Caller;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

/** A unary method. What it throws becomes a status; only what is no refusal is logged. */
export function unary<Request, Response>(
  log: Log,
  handler: (request: Request, facts: CallFacts) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const act = async () => await handler(call.request, factsOf(call.metadata, call));
    background(
      act().then(
        (response) => callback(null, response),
        (error: unknown) => callback(failed(log, call.getPath(), error)),
      ),
    );
  };
}

/** A method that answers with a stream; a slow reader makes the handler wait. */
export function serverStream<Request, Response>(
  log: Log,
  handler: (request: Request, facts: CallFacts) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const act = async () => {
      const facts = factsOf(call.metadata, call);
      for await (const message of handler(call.request, facts)) {
        if (facts.signal.aborted) return;
        await writeTo(call, message);
      }
    };
    background(
      act().then(
        () => call.end(),
        (error: unknown) => {
          if (!call.cancelled) call.emit('error', failed(log, call.getPath(), error));
        },
      ),
    );
  };
}

/** A method that reads a stream and answers with one; a slow reader makes the handler wait. */
export function bidi<Request, Response>(
  log: Log,
  handler: (requests: AsyncIterable<Request>, facts: CallFacts) => AsyncIterable<Response>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    const act = async () => {
      const facts = factsOf(call.metadata, call);
      for await (const message of handler(messagesOf(call), facts)) {
        if (facts.signal.aborted) return;
        await writeTo(call, message);
      }
    };
    background(
      act().then(
        () => call.end(),
        (error: unknown) => {
          if (!call.cancelled) call.emit('error', failed(log, call.getPath(), error));
        },
      ),
    );
  };
}

/** A method that reads a stream and answers once. */
export function clientStream<Request, Response>(
  log: Log,
  handler: (requests: AsyncIterable<Request>, facts: CallFacts) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call: ServerReadableStream<Request, Response>, callback) => {
    const act = async () => await handler(call, factsOf(call.metadata, call));
    background(
      act().then(
        (response) => callback(null, response),
        (error: unknown) => callback(failed(log, call.getPath(), error)),
      ),
    );
  };
}

/** What comes in on a two-way stream. Reading it to its end must not destroy it: the answers are still to go out. */
export function messagesOf<Request>(call: Pick<ServerDuplexStream<Request, unknown>, 'iterator'>) {
  return call.iterator({ destroyOnReturn: false }) as AsyncIterable<Request>; // the service's deserializer makes nothing else
}

/** Who calls, and a signal that says when they are gone. Throws the refusal when they do not say who they are. */
export function factsOf(
  metadata: Metadata,
  call: { once(event: 'cancelled', listener: () => void): unknown },
): CallFacts {
  const caller = orThrow(callerOf(metadata));
  const gone = new AbortController();
  call.once('cancelled', () => gone.abort(new Error('the caller has gone')));
  return { caller, signal: gone.signal };
}

/** A value, or its refusal thrown: inside a handler both ends of a call are one `try`. */
export function orThrow<Value>(value: Value | Refusal): Value {
  if (isRefusal(value)) throw new RefusedError(value);
  return value;
}

/** The status for what went wrong. */
export function failed(log: Log, path: string, error: unknown) {
  if (error instanceof RefusedError) return statusFromRefusal(error.refusal);
  log.error({ path, error: messageOf(error) }, 'a call failed');
  return statusFromError(error);
}

function isRefusal<Value>(value: Value | Refusal): value is Refusal {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'refused';
}
