import { assert } from '../../../base/assert.ts';

/** What D-Bus carries: a structure and an array are lists, a dictionary is a map, a variant is what it holds. */
export type DBusValue = boolean | number | bigint | string | readonly DBusValue[] | ReadonlyMap<string, DBusValue>;

/** Deepest nesting that is read; the bus itself allows 64. */
const depthMax = 32;

/** Reads little-endian values of a message. Throws when the bytes are not what the signature says. */
export class DBusReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** All values of a signature, in order. */
  values(signature: string): DBusValue[] {
    return [...types(signature)].map((type) => this.#value(type, 0));
  }

  #value(type: string, depth: number): DBusValue {
    if (depth > depthMax) throw new Error('a message of the bus is nested too deep');
    const kind = type.charAt(0);
    this.#align(alignmentOf(kind));
    switch (kind) {
      case 'y':
        return this.#bytes.readUInt8(this.#skip(1));
      case 'b':
        return this.#bytes.readUInt32LE(this.#skip(4)) !== 0;
      case 'n':
        return this.#bytes.readInt16LE(this.#skip(2));
      case 'q':
        return this.#bytes.readUInt16LE(this.#skip(2));
      case 'i':
        return this.#bytes.readInt32LE(this.#skip(4));
      case 'u':
      case 'h':
        return this.#bytes.readUInt32LE(this.#skip(4));
      case 'x':
        return this.#bytes.readBigInt64LE(this.#skip(8));
      case 't':
        return this.#bytes.readBigUInt64LE(this.#skip(8));
      case 'd':
        return this.#bytes.readDoubleLE(this.#skip(8));
      case 's':
      case 'o':
        return this.#text(this.#bytes.readUInt32LE(this.#skip(4)));
      case 'g':
        return this.#text(this.#bytes.readUInt8(this.#skip(1)));
      case 'v':
        return this.#variant(depth);
      case 'a':
        return this.#array(type.slice(1), depth);
      case '(':
        return [...types(type.slice(1, -1))].map((member) => this.#value(member, depth + 1));
      default:
        throw new Error(`a message of the bus holds a value of type "${type}"`);
    }
  }

  #variant(depth: number): DBusValue {
    const signature = this.#text(this.#bytes.readUInt8(this.#skip(1)));
    const [type, ...more] = types(signature);
    if (type === undefined || more.length > 0) throw new Error(`a variant of the bus has signature "${signature}"`);
    return this.#value(type, depth + 1);
  }

  #array(element: string, depth: number): DBusValue {
    const length = this.#bytes.readUInt32LE(this.#skip(4));
    this.#align(alignmentOf(element.charAt(0)));
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Error('an array of the bus ends past its message');
    if (!element.startsWith('{')) {
      const list: DBusValue[] = [];
      while (this.#at < end) {
        const before = this.#at;
        list.push(this.#value(element, depth + 1));
        if (this.#at === before) throw new Error('an array of the bus holds values without bytes');
      }
      return list;
    }
    const [keyType = '', valueType = ''] = types(element.slice(1, -1));
    const map = new Map<string, DBusValue>();
    while (this.#at < end) {
      this.#align(8);
      const key = this.#value(keyType, depth + 1);
      map.set(String(key), this.#value(valueType, depth + 1));
    }
    return map;
  }

  #text(length: number): string {
    const from = this.#skip(length + 1);
    return this.#bytes.toString('utf8', from, from + length);
  }

  #align(to: number): void {
    this.#at = Math.ceil(this.#at / to) * to;
  }

  #skip(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) throw new Error('a message of the bus ends too early');
    return at;
  }
}

/** What we send: an array only when it is empty. */
export type SentValue = string | number | bigint | readonly [];

/** Writes arguments; only the types that we send. */
export function writeValues(signature: string, values: readonly SentValue[]): Buffer {
  const kinds = [...types(signature)];
  assert(kinds.length === values.length, 'there is one value for each type');
  const parts: Buffer[] = [];
  let length = 0;
  const push = (bytes: Buffer) => {
    parts.push(bytes);
    length += bytes.length;
  };
  const align = (to: number) => push(Buffer.alloc((to - (length % to)) % to));
  values.forEach((value, at) => {
    const type = kinds[at] ?? '';
    align(alignmentOf(type.charAt(0)));
    push(encoded(type.charAt(0), value));
    // The first element, were there one, would begin here.
    if (type.startsWith('a')) align(alignmentOf(type.charAt(1)));
  });
  return Buffer.concat(parts);
}

function encoded(type: string, value: SentValue): Buffer {
  switch (type) {
    case 'a':
      return Buffer.alloc(4);
    case 'i': {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(Number(value));
      return bytes;
    }
    case 'u': {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(Number(value));
      return bytes;
    }
    case 't': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(String(value)));
      return bytes;
    }
    case 's':
    case 'o': {
      const text = Buffer.from(`${value}\0`);
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(text.length - 1);
      return Buffer.concat([bytes, text]);
    }
    case 'g':
      return Buffer.concat([Buffer.from([String(value).length]), Buffer.from(`${value}\0`)]);
    default:
      throw new Error(`nothing of type "${type}" is ever sent`);
  }
}

/** The complete types of a signature, one after the other. */
function* types(signature: string): Generator<string> {
  let rest = signature;
  while (rest !== '') {
    const length = typeLength(rest, 0);
    yield rest.slice(0, length);
    rest = rest.slice(length);
  }
}

function typeLength(signature: string, from: number): number {
  const kind = signature.charAt(from);
  if (kind === 'a') return 1 + typeLength(signature, from + 1);
  if (kind !== '(' && kind !== '{') {
    if (kind === '') throw new Error(`a message of the bus has signature "${signature}"`);
    return 1;
  }
  const close = kind === '(' ? ')' : '}';
  let at = from + 1;
  while (signature.charAt(at) !== close) at += typeLength(signature, at);
  return at + 1 - from;
}

function alignmentOf(kind: string): number {
  if ('ybg v'.includes(kind) && kind !== 'b') return 1;
  if ('nq'.includes(kind)) return 2;
  return 'xtd({'.includes(kind) ? 8 : 4;
}
