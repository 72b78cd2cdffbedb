import { connect } from 'node:net';
import { messageOf } from '../../base/errors.ts';

/** A Unix socket whose bytes come as messages. */
export interface Frames {
  write(bytes: Buffer): void;
  /** Resolves with why it ended: the peer went away, sent nonsense, or `close` was called. Never rejects. */
  readonly closed: Promise<string>;
  close(): void;
}

/** How bytes become messages. */
export interface Framing {
  /** Length of the first message in `bytes`, in bytes; nothing when it can't be told yet. */
  lengthOf(bytes: Buffer): number | undefined;
  /** Takes one whole message. What it throws ends the connection. */
  take(frame: Buffer): void;
  /** Longest message that is taken, in bytes; a longer one ends the connection. */
  readonly maxBytes: number;
}

/** Connects to the Unix socket at `path`; rejects when nobody answers there. */
export function openFrames(path: string, framing: Framing): Promise<Frames> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let held: Buffer = Buffer.alloc(0);
    let why = 'the other end has closed the connection';
    const end = (reason: string) => {
      why = reason;
      socket.destroy();
    };
    const closed = new Promise<string>((tell) => socket.once('close', () => tell(why)));
    socket.on('data', (bytes) => {
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      try {
        held = takeAll(held, framing, () => socket.destroyed);
      } catch (error) {
        end(messageOf(error));
      }
    });
    socket.once('connect', () => {
      resolve({ write: (bytes) => void socket.write(bytes), closed, close: () => end('closed here') });
    });
    socket.on('error', (error) => {
      why = error.message;
      reject(error);
    });
  });
}

/** Hands over every whole message and answers what is left. */
function takeAll(bytes: Buffer, framing: Framing, ended: () => boolean): Buffer {
  let rest = bytes;
  while (rest.length > 0 && !ended()) {
    const length = framing.lengthOf(rest);
    if ((length ?? rest.length) > framing.maxBytes)
      throw new Error(`a message has more than ${framing.maxBytes} bytes`);
    if (length === undefined || length > rest.length) return rest;
    framing.take(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return rest;
}
