import type { EventEmitter } from 'node:events';
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { bytesOf, type Plan } from './plan.ts';
import type { MethodShape } from './shapes.ts';
import type { Refs } from './tree.ts';

/** How a call ended. */
export interface Outcome {
  readonly code: status;
  readonly details: string;
  /** The head's own word for a refusal; empty for anything else. */
  readonly refusal: string;
  readonly tookMs: number;
}

/** A call of any kind; `input` and `output` of those that stream. */
interface Begun {
  readonly call: EventEmitter & { cancel(): void };
  readonly input?: ClientWritableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;
  readonly output?: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;
}

/** Longest that a call goes on after its deadline, in milliseconds. */
const overtimeMs = 3_000;
const same = (bytes: Buffer) => bytes;

/** Makes a call with the bytes as they are: no code of labrun's writes or reads them on this side. */
export function send(
  client: Client,
  metadata: Metadata,
  method: MethodShape,
  plan: Plan,
  refs: Refs,
): Promise<Outcome> {
  const messages = plan.messages.map((message) => Buffer.from(bytesOf(message, refs)));
  const beganMs = performance.now();
  return new Promise((resolve) => {
    const { call, input, output } = begin(client, metadata, method, plan, messages);
    const ended = ({ code, details, metadata: trailer }: Pick<StatusObject, 'code' | 'details' | 'metadata'>) => {
      clearTimeout(timer);
      const [refusal = ''] = trailer.get('labrun-code').map(String);
      resolve({ code, details, refusal, tookMs: performance.now() - beganMs });
    };
    const timer = setTimeout(() => {
      call.cancel();
      resolve({ code: status.DEADLINE_EXCEEDED, details: '', refusal: '', tookMs: performance.now() - beganMs });
    }, plan.deadlineMs + overtimeMs);
    call.on('status', ended);
    call.on('error', () => {}); // its status says the same
    if (plan.reads) output?.on('data', () => {});
    for (const message of input ? messages : []) input?.write(message);
    if (plan.end === 'half-close') input?.end();
    if (plan.end === 'cancel') setImmediate(() => call.cancel());
  });
}

function begin(
  client: Client,
  metadata: Metadata,
  method: MethodShape,
  plan: Plan,
  messages: readonly Buffer[],
): Begun {
  const options = { deadline: Date.now() + plan.deadlineMs };
  const first = messages[0] ?? Buffer.alloc(0);
  const { requestStream, responseStream } = method;
  if (requestStream && responseStream) {
    const call = client.makeBidiStreamRequest(plan.path, same, same, metadata, options);
    return { call, input: call, output: call };
  }
  if (requestStream) {
    const call = client.makeClientStreamRequest(plan.path, same, same, metadata, options, () => {});
    return { call, input: call };
  }
  if (responseStream) {
    const call = client.makeServerStreamRequest(plan.path, same, same, first, metadata, options);
    return { call, output: call };
  }
  return { call: client.makeUnaryRequest(plan.path, same, same, first, metadata, options, () => {}) };
}
