/** A message that carries bytes of a file, and the generated functions that write and read it. */
export interface DataType<Message> {
  encode(message: Message): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
}

/** How a message becomes bytes, and the other way round. */
export interface DataCodec<Message> {
  serialize(message: Message): Buffer;
  /** Its `data` is a view of the bytes given, which must not change any more. Throws when they are no message. */
  deserialize(bytes: Buffer): Message;
}

const noData = Buffer.alloc(0);

/**
 * Writes and reads what the generated functions do, but copies the field `data` once on its way out and never on its way in. The
 * generated ones copy four times, and what they allocate for it keeps the garbage collector busy: half of a transfer's time.
 * `field` is the number of `data` in the message; it comes last, as fields may come in any order.
 */
export function dataCodec<Message extends { readonly data: Buffer }>(
  type: DataType<Message>,
  field: number,
): DataCodec<Message> {
  const tag = (field << 3) | 2; // bytes with their length before them
  if (tag > 127) throw new RangeError(`Cannot write field ${field}: its tag takes more than a byte`);
  return {
    serialize(message) {
      const { data } = message;
      const rest = type.encode({ ...message, data: noData }).finish();
      if (data.length === 0) return Buffer.from(rest.buffer, rest.byteOffset, rest.length);
      const bytes = Buffer.allocUnsafe(rest.length + 1 + varintBytes(data.length) + data.length);
      bytes.set(rest);
      bytes[rest.length] = tag;
      bytes.set(data, writeVarint(bytes, rest.length + 1, data.length));
      return bytes;
    },
    deserialize(bytes) {
      const at = findData(bytes, tag);
      if (at === undefined) return type.decode(bytes);
      const rest = Buffer.concat([bytes.subarray(0, at.tag), bytes.subarray(at.end)]);
      return { ...type.decode(rest), data: bytes.subarray(at.start, at.end) };
    },
  };
}

/** Where a field is: its tag, and its bytes. */
interface Place {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Where the data is; nothing when there is none, or the generated reader had better say what is wrong. */
function findData(bytes: Buffer, tag: number): Place | undefined {
  let found: Place | undefined;
  for (let at = 0; at < bytes.length; ) {
    const key = readVarint(bytes, at);
    const value = key && readVarint(bytes, key.next);
    if (!key || !value) return undefined;
    const kind = key.value & 7;
    if (kind !== 0 && kind !== 2) return undefined;
    const end = kind === 0 ? value.next : value.next + value.value;
    if (end > bytes.length) return undefined;
    if (key.value === tag) {
      if (found) return undefined;
      found = { tag: at, start: value.next, end };
    }
    at = end;
  }
  return found;
}

/** A number of up to 64 bits; what is beyond 2^53 is not exact, and too long for a length. */
function readVarint(bytes: Buffer, from: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let at = from; at < Math.min(bytes.length, from + 10); at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 127) * 2 ** (7 * (at - from));
    if (byte < 128) return { value, next: at + 1 };
  }
  return undefined;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = value; left > 127; left >>>= 7) bytes += 1;
  return bytes;
}

function writeVarint(bytes: Buffer, from: number, value: number): number {
  let at = from;
  let left = value;
  for (; left > 127; left >>>= 7) bytes[at++] = (left & 127) | 128;
  bytes[at++] = left;
  return at;
}
