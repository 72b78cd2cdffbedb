import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerReadableStream,
} from '@grpc/grpc-js';
import { answerOnce, answerSender, answerStream, orThrow, pour } from '../../base/channel/answer.ts';
import type { CallKind, CallLimits, Crowd } from '../../base/channel/crowd.ts';
import type { Refusal } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { DeskCaller, DeskCallers } from './caller.ts';

/** The door of the desk socket: it opens to whoever may open the socket, and knows who they are. */
export interface DeskDoor {
  readonly log: Log;
  readonly callers: Pick<DeskCallers, 'identify'>;
  /** Made with `deskLimits`. */
  readonly crowd: Crowd;
}

/** Far more than a person's terminals and desktops make of one machine, and few enough for an agent to hold. */
export const deskLimits: CallLimits = {
  unary: { perCaller: 64, inAll: 512 },
  upload: { perCaller: 16, inAll: 128 },
  stream: { perCaller: 32, inAll: 256 },
};

/** The metadata key of a caller's proof. */
export const proofKey = 'labrun-proof';

/** A call that answers once. */
export function deskUnary<Request, Response>(
  door: DeskDoor,
  handler: (request: Request, caller: DeskCaller) => Promise<Response | Refusal>,
): handleUnaryCall<Request, Response> {
  return (call, callback) =>
    answerOnce(door.log, call, callback, () =>
      attend(door, call.metadata, 'unary', async (caller) => orThrow(await handler(call.request, caller))),
    );
}

/** A call that answers with a stream; a slow reader makes the handler wait. */
export function deskStream<Request, Response>(
  door: DeskDoor,
  handler: (request: Request, caller: DeskCaller, signal: AbortSignal) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const gone = new AbortController();
    call.once('cancelled', () => gone.abort(new Error('the caller has gone')));
    answerStream(door.log, call, () =>
      attend(door, call.metadata, 'stream', (caller) => pour(call, handler(call.request, caller, gone.signal))),
    );
  };
}

/** A call that is told one thing after the other for as long as it lasts: a helper ends with its session. */
export function deskReports<Request, Response>(
  door: DeskDoor,
  handler: (messages: AsyncIterable<Request>, caller: DeskCaller) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call: ServerReadableStream<Request, Response>, callback) =>
    answerSender(door.log, call, callback, () =>
      attend(door, call.metadata, 'upload', (caller) => handler(call, caller)),
    );
}

/** Lets a call in and works on it, as one of those its caller may have under way. */
async function attend<Result>(
  { callers, crowd }: DeskDoor,
  metadata: Metadata,
  kind: CallKind,
  work: (caller: DeskCaller) => Promise<Result>,
): Promise<Result> {
  const [proof] = metadata.get(proofKey);
  const caller = orThrow(await callers.identify(typeof proof === 'string' ? proof : ''));
  const leave = orThrow(crowd.enter(String(caller.uid), kind));
  try {
    return await work(caller);
  } finally {
    leave();
  }
}
