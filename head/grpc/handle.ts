import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerReadableStream,
} from '@grpc/grpc-js';
import { answerOnce, answerSender, answerStream, pour } from '../../base/channel/answer.ts';
import type { Caller } from '../../base/channel/caller.ts';
import type { CallKind } from '../../base/channel/crowd.ts';
import type { Right } from '../access.ts';
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
  return (call, callback) =>
    answerOnce(door.log, call, callback, () =>
      attend(door, right, call, 'unary', (facts) => checked(facts, handler(requestOf(call.request), facts))),
    );
}

/** A method that answers with a stream; a slow reader makes the handler wait. */
export function serverStream<Request, Response>(
  door: Door,
  right: Right,
  handler: (request: Request, facts: CallFacts) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) =>
    answerStream(door.log, call, () =>
      attend(door, right, call, 'stream', (facts) =>
        pour(call, handler(requestOf(call.request), facts), () => facts.pass.assertChecked()),
      ),
    );
}

/** A method that reads a stream and answers with one; a slow reader makes the handler wait. */
export function bidi<Request, Response>(
  door: Door,
  right: Right,
  handler: (requests: AsyncIterable<Request>, facts: CallFacts) => AsyncIterable<Response>,
): handleBidiStreamingCall<Request, Response> {
  return (call) =>
    answerStream(door.log, call, () =>
      attend(door, right, call, 'stream', (facts) =>
        pour(call, handler(messagesOf(call), facts), () => facts.pass.assertChecked()),
      ),
    );
}

/** A method that reads a stream and answers once; a stream that falls silent is refused. */
export function clientStream<Request, Response>(
  door: Door,
  right: Right,
  handler: (requests: AsyncIterable<Request>, facts: CallFacts) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call: ServerReadableStream<Request, Response>, callback) =>
    answerSender(door.log, call, callback, () =>
      attend(door, right, call, 'upload', (facts) =>
        checked(facts, handler(untilSilent(eachOf<Request>(call), door.clock), facts)),
      ),
    );
}

/** No answer leaves a call of which nobody has asked what it is about. */
async function checked<Response>({ pass }: CallFacts, making: Promise<Response>): Promise<Response> {
  const response = await making;
  pass.assertChecked();
  return response;
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
