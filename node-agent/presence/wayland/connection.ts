import { Fault } from '../../../base/errors.ts';
import { type Frames, openFrames } from '../frames.ts';

/** An event of the compositor. */
export interface WaylandEvent {
  readonly object: number;
  readonly opcode: number;
  readonly body: Buffer;
}

/** A connection to a Wayland compositor, with the few requests that watching a person takes. */
export interface Wayland {
  /** What the compositor offers, by name of the interface: the first of each. */
  readonly globals: ReadonlyMap<string, WaylandGlobal>;
  /** Binds a global; answers the number of the new object. */
  bind(global: WaylandGlobal, version: number): number;
  /** Sends a request with whole numbers as arguments. */
  send(object: number, opcode: number, ...args: readonly number[]): void;
  /** A number for a new object. */
  newId(): number;
  readonly closed: Promise<string>;
  close(): void;
}

/** An interface on offer. */
export interface WaylandGlobal {
  readonly name: number;
  readonly interface: string;
  readonly version: number;
}

const display = 1;
const registry = 2;
const firstSync = 3;
/** The wire has 16 bits for a length. */
const messageMaxBytes = 65_535;
/** Most globals that are kept; a compositor has some fifty. */
const globalsMax = 512;

/** Connects, and resolves when the compositor has told all it offers. Messages come in the machine's byte order. */
export async function connectWayland(
  socketPath: string,
  event: (event: WaylandEvent) => void,
  signal: AbortSignal,
): Promise<Wayland> {
  const globals = new Map<string, WaylandGlobal>();
  let synced: () => void = () => undefined;
  const welcome = new Promise<void>((resolve) => {
    synced = resolve;
  });
  const take = (frame: Buffer) => {
    const object = frame.readUInt32LE(0);
    const opcode = frame.readUInt16LE(4);
    const body = frame.subarray(8);
    if (object === display && opcode === 0) throw new Error(`the compositor objects: ${textAt(body, 8)}`);
    if (object === registry && opcode === 0) remember(globals, body);
    else if (object === firstSync) synced();
    else event({ object, opcode, body });
  };
  const frames = await openFrames(socketPath, { lengthOf, take, maxBytes: messageMaxBytes });
  const end = () => frames.close();
  signal.addEventListener('abort', end, { once: true });
  const closed = frames.closed.finally(() => signal.removeEventListener('abort', end));
  if (signal.aborted) end();
  let lastId = firstSync;
  const send = (object: number, opcode: number, ...args: readonly number[]) => {
    frames.write(request(object, opcode, words(args)));
  };
  send(display, 1, registry);
  send(display, 0, firstSync);
  const why = await Promise.race([welcome.then(() => undefined), closed]);
  if (why !== undefined) throw new Fault('wayland-closed', `The Wayland compositor is gone: ${why}`);
  const newId = () => {
    lastId += 1;
    return lastId;
  };
  return {
    globals,
    bind: (global, version) => bind(frames, global, version, newId()),
    send,
    newId,
    closed,
    close: end,
  };
}

function bind(frames: Frames, global: WaylandGlobal, version: number, id: number): number {
  const name = Buffer.from(`${global.interface}\0`);
  const padding = Buffer.alloc((4 - (name.length % 4)) % 4);
  const text = Buffer.concat([words([name.length]), name, padding]);
  frames.write(request(registry, 0, Buffer.concat([words([global.name]), text, words([version, id])])));
  return id;
}

function request(object: number, opcode: number, args: Buffer): Buffer {
  const length = 8 + args.length;
  return Buffer.concat([words([object, ((length << 16) | opcode) >>> 0]), args]);
}

function lengthOf(bytes: Buffer): number | undefined {
  if (bytes.length < 8) return undefined;
  const length = bytes.readUInt16LE(6);
  if (length < 8) throw new Error('the compositor sends a message without a head');
  return length;
}

function remember(globals: Map<string, WaylandGlobal>, body: Buffer): void {
  const name = body.readUInt32LE(0);
  const length = body.readUInt32LE(4);
  const version = body.readUInt32LE(8 + Math.ceil(length / 4) * 4);
  const offered = textAt(body, 4);
  if (globals.size < globalsMax && !globals.has(offered)) globals.set(offered, { name, interface: offered, version });
}

/** A string of the wire: its length with the closing zero, then its bytes. */
function textAt(body: Buffer, at: number): string {
  return body.toString('utf8', at + 4, at + 3 + body.readUInt32LE(at));
}

function words(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, at) => {
    bytes.writeUInt32LE(value, 4 * at);
  });
  return bytes;
}
