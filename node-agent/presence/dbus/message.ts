import { DBusReader, type DBusValue, type SentValue, writeValues } from './values.ts';

/** What a message of the bus says of itself. */
export interface DBusMessage {
  readonly kind: 'call' | 'return' | 'error' | 'signal' | 'other';
  /** Of a return or error: the number of the call it answers. */
  readonly answers: number;
  readonly path: string;
  readonly member: string;
  readonly interface: string;
  readonly errorName: string;
  /** Reads what it carries; throws when that is not what it says. */
  body(): readonly DBusValue[];
}

/** A call of a method. */
export interface DBusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Types of the arguments: any of "s", "o", "u", "i", "t", and arrays. */
  readonly signature?: string;
  readonly args?: readonly SentValue[];
}

const kinds = ['other', 'call', 'return', 'error', 'signal'] as const;
const littleEndian = 'l'.charCodeAt(0);
/** Numbers of the header's fields. */
const field = { path: 1, interface: 2, member: 3, error: 4, answers: 5, destination: 6, signature: 8 } as const;

/** Length of the first message in `bytes`; nothing while its beginning is not there. Throws for a foreign byte order. */
export function messageLength(bytes: Buffer): number | undefined {
  if (bytes.length < 16) return undefined;
  if (bytes.readUInt8(0) !== littleEndian) throw new Error('the bus speaks in another byte order than this machine');
  return align8(16 + bytes.readUInt32LE(12)) + bytes.readUInt32LE(4);
}

/** Reads a whole message. */
export function readMessage(bytes: Buffer): DBusMessage {
  const [fields] = new DBusReader(bytes, 12).values('a(yv)');
  const found = new Map<number, DBusValue>();
  for (const entry of Array.isArray(fields) ? fields : []) {
    if (Array.isArray(entry)) found.set(Number(entry[0]), entry[1]);
  }
  const text = (number: number) => String(found.get(number) ?? '');
  const start = align8(16 + bytes.readUInt32LE(12));
  return {
    kind: kinds[bytes.readUInt8(1)] ?? 'other',
    answers: Number(found.get(field.answers) ?? 0),
    path: text(field.path),
    member: text(field.member),
    interface: text(field.interface),
    errorName: text(field.error),
    body: () => new DBusReader(bytes.subarray(start)).values(text(field.signature)),
  };
}

/** A call as it goes over the wire. */
export function writeCall(serial: number, call: DBusCall): Buffer {
  const body = writeValues(call.signature ?? '', call.args ?? []);
  const fields = [
    headerField(field.path, 'o', call.path),
    headerField(field.interface, 's', call.interface),
    headerField(field.member, 's', call.member),
    headerField(field.destination, 's', call.destination),
    ...(call.signature ? [headerField(field.signature, 'g', call.signature)] : []),
  ];
  // Each field is a structure and begins at a multiple of 8; so does the first, 16 bytes into the message.
  const length = fields.reduce((sum, bytes) => align8(sum) + bytes.length, 0);
  const head = Buffer.alloc(16);
  head.set([littleEndian, 1, 0, 1]);
  head.writeUInt32LE(body.length, 4);
  head.writeUInt32LE(serial, 8);
  head.writeUInt32LE(length, 12);
  return Buffer.concat([head, ...fields.map(padded), body]);
}

function headerField(number: number, type: 'o' | 's' | 'g', value: string): Buffer {
  const content = writeValues(type, [value]);
  return Buffer.concat([Buffer.from([number, 1]), Buffer.from(`${type}\0`), content]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(align8(bytes.length) - bytes.length)]);
}

function align8(length: number): number {
  return Math.ceil(length / 8) * 8;
}
