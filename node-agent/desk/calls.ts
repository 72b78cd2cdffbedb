import type {
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { background } from '../../base/background.ts';
import { statusFromError } from '../../base/channel/refusals.ts';
import { writeTo } from '../../base/channel/streams.ts';
import { cutOff, isRefusal, messageOf, type Refusal, RefusedError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { DeskCaller, DeskCallers } from './caller.ts';

/** The door of the desk socket: it opens to whoever may open the socket, and knows who they are. */
export interface DeskDoor {
  readonly log: Log;
  readonly callers: Pick<DeskCallers, 'identify'>;
}

/** The metadata key of a caller's proof. */
export const proofKey = 'labrun-proof';

/** A call that answers once. */
export function deskUnary<Request, Response>(
  door: DeskDoor,
  handler: (request: Request, caller: DeskCaller) => Promise<Response | Refusal>,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, callback) => {
    const answer = async () => orThrow(await handler(call.request, await enter(door, call.metadata)));
    background(
      answer().then(
        (response) => callback(null, response),
        (error: unknown) => callback(failed(door.log, call.getPath(), error)),
      ),
    );
  };
}

/** A call that answers with a stream; a slow reader makes the handler wait. */
export function deskStream<Request, Response>(
  door: DeskDoor,
  handler: (request: Request, caller: DeskCaller, signal: AbortSignal) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call: ServerWritableStream<Request, Response>) => {
    const gone = new AbortController();
    call.once('cancelled', () => gone.abort(new Error('the caller has gone')));
    const answer = async () => {
      const caller = await enter(door, call.metadata);
      for await (const message of handler(call.request, caller, gone.signal)) {
        if (call.cancelled) return;
        await writeTo(call, message);
      }
    };
    background(
      answer().then(
        () => call.end(),
        (error: unknown) => {
          if (!call.cancelled) call.emit('error', failed(door.log, call.getPath(), error));
        },
      ),
    );
  };
}

/** A call that is told one thing after the other for as long as it lasts. */
export function deskReports<Request, Response>(
  door: DeskDoor,
  handler: (messages: AsyncIterable<Request>, caller: DeskCaller) => Promise<Response>,
) {
  return (
    call: ServerReadableStream<Request, Response>,
    callback: (error: ReturnType<typeof statusFromError> | null, response?: Response) => void,
  ) => {
    const answer = async () => handler(call, await enter(door, call.metadata));
    background(
      answer().then(
        (response) => callback(null, response),
        // A helper ends with its session: that its stream broke off is no news.
        (error: unknown) => callback(call.cancelled ? statusFromError(error) : failed(door.log, call.getPath(), error)),
      ),
    );
  };
}

async function enter(door: DeskDoor, metadata: Metadata): Promise<DeskCaller> {
  const [proof] = metadata.get(proofKey);
  return orThrow(await door.callers.identify(typeof proof === 'string' ? proof : ''));
}

function orThrow<Value>(value: Value | Refusal): Value {
  if (isRefusal(value)) throw new RefusedError(value);
  return value;
}

function failed(log: Log, path: string, error: unknown): ReturnType<typeof statusFromError> {
  if (!(error instanceof RefusedError))
    log.error({ path, error: cutOff(messageOf(error)) }, 'a call of the desk failed');
  return statusFromError(error);
}
