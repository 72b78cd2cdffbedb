import { Fault } from '../../../base/errors.ts';
import { openFrames } from '../frames.ts';
import type { Cookie } from './xauthority.ts';

/** A connection to an X server, with the few requests that watching a person takes. */
export interface X11Connection {
  readonly rootWindow: number;
  /** Asks for an extension; answers the number its requests begin with, or nothing where the server has none. */
  extension(name: string): Promise<number | undefined>;
  /** Sends a request that has an answer: `bytes` begin with the opcode; their length is filled in here. */
  ask(bytes: Buffer): Promise<Buffer>;
  /** Sends a request that has none. */
  send(bytes: Buffer): void;
  readonly closed: Promise<string>;
  close(): void;
}

/** No answer to what we ask is longer; a setup may have as much as its length can say. */
const messageMaxBytes = 300_000;
const replyType = 1;
const errorType = 0;
const genericEventType = 35;

interface Waiting {
  readonly sequence: number;
  readonly resolve: (reply: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Connects to the X server at a socket, until `signal` ends it. `event` is called for each event with its number in its
 * extension. Rejects with `Fault` when the server does not let us in, or nobody answers.
 */
export async function connectX11(
  socketPath: string,
  cookie: Cookie | undefined,
  event: (type: number) => void,
  signal: AbortSignal,
): Promise<X11Connection> {
  let root: number | undefined;
  let sequence = 0;
  const waiting: Waiting[] = [];
  let setUp: Waiting | undefined;
  const welcome = new Promise<Buffer>((resolve, reject) => {
    setUp = { sequence: 0, resolve, reject };
  });
  const take = (frame: Buffer) => {
    if (root === undefined) {
      root = rootOf(frame);
      return setUp?.resolve(frame);
    }
    const type = frame.readUInt8(0);
    if (type === genericEventType) return event(frame.readUInt16LE(8));
    if (type !== replyType && type !== errorType) return;
    const at = waiting.findIndex((one) => one.sequence === frame.readUInt16LE(2));
    const [one] = at < 0 ? [] : waiting.splice(at, 1);
    if (type === replyType) one?.resolve(frame);
    else one?.reject(new Fault('x11-error', `The X server answers with error ${frame.readUInt8(1)}`));
  };
  const lengthOf = (bytes: Buffer) => (root === undefined ? setupLength(bytes) : messageLength(bytes));
  const frames = await openFrames(socketPath, { lengthOf, take, maxBytes: messageMaxBytes });
  const end = () => frames.close();
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  const closed = frames.closed.then((why) => {
    signal.removeEventListener('abort', end);
    const error = new Fault('x11-closed', `The X server is gone: ${why}`);
    for (const one of setUp ? [setUp, ...waiting] : waiting) one.reject(error);
    return why;
  });
  frames.write(setupRequest(cookie));
  await welcome;
  const send = (bytes: Buffer) => {
    bytes.writeUInt16LE(bytes.length / 4, 2);
    sequence = (sequence + 1) & 0xffff;
    frames.write(bytes);
  };
  const ask = (bytes: Buffer) =>
    new Promise<Buffer>((resolve, reject) => {
      send(bytes);
      waiting.push({ sequence, resolve, reject });
    });
  return {
    rootWindow: root ?? 0,
    async extension(name) {
      const reply = await ask(queryExtension(name));
      return reply.readUInt8(8) === 1 ? reply.readUInt8(9) : undefined;
    },
    ask,
    send,
    closed,
    close: end,
  };
}

function setupRequest(cookie: Cookie | undefined): Buffer {
  const head = Buffer.alloc(12);
  head.write('l'); // little-endian from here on
  head.writeUInt16LE(11, 2);
  if (cookie === undefined) return head;
  head.writeUInt16LE(cookie.name.length, 6);
  head.writeUInt16LE(cookie.data.length, 8);
  return Buffer.concat([head, padded(Buffer.from(cookie.name)), padded(cookie.data)]);
}

function setupLength(bytes: Buffer): number | undefined {
  return bytes.length < 8 ? undefined : 8 + 4 * bytes.readUInt16LE(6);
}

/** The root window of the first screen: screens of one server share keyboard and pointer. */
function rootOf(setup: Buffer): number {
  if (setup.readUInt8(0) !== 1) {
    const said = setup.toString('latin1', 8, 8 + setup.readUInt8(1));
    throw new Fault('x11-refused', `The X server does not let this account in: ${said.trim()}`);
  }
  const vendorLength = setup.readUInt16LE(24);
  const formats = setup.readUInt8(29);
  return setup.readUInt32LE(40 + 4 * Math.ceil(vendorLength / 4) + 8 * formats);
}

function messageLength(bytes: Buffer): number | undefined {
  if (bytes.length < 32) return undefined;
  const type = bytes.readUInt8(0);
  return type === replyType || type === genericEventType ? 32 + 4 * bytes.readUInt32LE(4) : 32;
}

function queryExtension(name: string): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(98, 0);
  head.writeUInt16LE(name.length, 4);
  return Buffer.concat([head, padded(Buffer.from(name))]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
