import type { Clock } from '../../../base/clock.ts';
import { Fault } from '../../../base/errors.ts';
import { openFrames } from '../frames.ts';
import { type DBusCall, type DBusMessage, messageLength, readMessage, writeCall } from './message.ts';
import type { DBusValue } from './values.ts';

/** A connection to a message bus. */
export interface Bus {
  /** Calls a method. Rejects with `Fault` (`dbus-error`, `dbus-timeout`, `dbus-closed`). */
  call(call: DBusCall): Promise<readonly DBusValue[]>;
  /** Asks for the signals that match a rule; all signals go to the one listener given at the start. */
  listen(rule: string): Promise<void>;
  readonly closed: Promise<string>;
  close(): void;
}

export interface BusOptions {
  readonly clock: Clock;
  /** As in `DBUS_SESSION_BUS_ADDRESS`. */
  readonly address: string;
  readonly uid: number;
  /** Gets each signal, also ones that nobody asked for: anybody on a bus may send one to us. */
  readonly signal: (message: DBusMessage) => void;
}

/** Where the system's bus listens, everywhere. */
export const systemBusAddress = 'unix:path=/run/dbus/system_bus_socket';

/** Longest message that is taken and longest wait for an answer. */
const messageMaxBytes = 1_048_576;
const answerMaxMs = 5_000;
const bus = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', interface: 'org.freedesktop.DBus' };

interface Waiting {
  readonly resolve: (values: readonly DBusValue[]) => void;
  readonly reject: (error: Error) => void;
}

/** Connects to a bus as the account `uid`. Rejects when nobody answers there, or refuses us. */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const waiting = new Map<number, Waiting>();
  let letIn: Waiting | undefined;
  let open = false;
  let serial = 0;
  const welcome = new Promise<readonly DBusValue[]>((resolve, reject) => {
    letIn = { resolve, reject };
  });
  const take = (frame: Buffer) => {
    if (open) return takeMessage(frame, waiting, options.signal);
    if (!frame.toString('latin1').startsWith('OK ')) throw new Error('the bus does not let this account in');
    open = true;
    letIn?.resolve([]);
  };
  const lengthOf = (bytes: Buffer) => (open ? messageLength(bytes) : lineLength(bytes));
  const frames = await openFrames(socketOf(options.address), { lengthOf, take, maxBytes: messageMaxBytes });
  const closed = frames.closed.then((why) => {
    const error = new Fault('dbus-closed', `The message bus is gone: ${why}`);
    for (const one of [letIn, ...waiting.values()]) one?.reject(error);
    return why;
  });
  const inTime = <T>(what: string, answer: Promise<T>): Promise<T> => {
    const late = new Fault('dbus-timeout', `The message bus has not answered "${what}" within ${answerMaxMs} ms`);
    return new Promise((resolve, reject) => {
      const timer = options.clock.setTimer(answerMaxMs, () => reject(late));
      answer.then(resolve, reject).finally(() => timer.cancel());
    });
  };
  const call = async (what: DBusCall): Promise<readonly DBusValue[]> => {
    serial += 1;
    const number = serial;
    const answer = new Promise<readonly DBusValue[]>((resolve, reject) => {
      waiting.set(number, { resolve, reject });
      frames.write(writeCall(number, what));
    });
    return inTime(what.member, answer).finally(() => waiting.delete(number));
  };
  frames.write(Buffer.from(`\0AUTH EXTERNAL ${Buffer.from(String(options.uid)).toString('hex')}\r\n`));
  try {
    await inTime('AUTH', welcome);
    frames.write(Buffer.from('BEGIN\r\n'));
    await call({ ...bus, member: 'Hello' });
  } catch (error) {
    frames.close();
    throw error;
  }
  return {
    call,
    async listen(rule) {
      await call({ ...bus, member: 'AddMatch', signature: 's', args: [rule] });
    },
    closed,
    close: () => frames.close(),
  };
}

function takeMessage(
  frame: Buffer,
  waiting: ReadonlyMap<number, Waiting>,
  signal: (message: DBusMessage) => void,
): void {
  const message = readMessage(frame);
  if (message.kind === 'signal') return signal(message);
  if (message.kind === 'return') return waiting.get(message.answers)?.resolve(message.body());
  if (message.kind !== 'error') return;
  const [said] = message.body();
  const fault = new Fault('dbus-error', `The message bus answers ${message.errorName}: ${String(said ?? '')}`);
  waiting.get(message.answers)?.reject(fault);
}

function lineLength(bytes: Buffer): number | undefined {
  const at = bytes.indexOf('\r\n');
  return at < 0 ? undefined : at + 2;
}

/** The first socket of an address that may name several ways; `Fault` (`dbus-address`) when there is none. */
function socketOf(address: string): string {
  for (const way of address.split(';')) {
    const [, kind, escaped = ''] = /^unix:(?:.*,)?(path|abstract)=([^,]*)/.exec(way) ?? [];
    if (kind === undefined) continue;
    const path = decodeURIComponent(escaped);
    return kind === 'abstract' ? `\0${path}` : path;
  }
  throw new Fault('dbus-address', `Cannot connect to the message bus: "${address}" names no Unix socket`);
}
