import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Shapes } from './shapes.ts';

/** A value on the wire, before it is written; plain JSON, so that a finding can be kept and sent again. */
export type Value =
  | { readonly text: string }
  /** Bytes, in base64. */
  | { readonly bytes: string }
  /** A whole number, in decimal digits; negative ones are written as protobuf does, in 64 bits. */
  | { readonly number: string }
  /** Something of the world the input is sent to, such as the id of its running batch. */
  | { readonly ref: string }
  | { readonly fields: readonly Field[] };

/** A field of a message; `times` over, when given. */
export interface Field {
  readonly at: number;
  readonly value: Value;
  readonly times?: number;
}

/** What refs stand for. */
export type Refs = (name: string) => string | Uint8Array;

/** Most bytes that one field may take by being repeated: below what a message may have. */
const repeatedMaxBytes = 7 * 2 ** 20;

/** The message's bytes, written by no code of labrun's. */
export function encodeTree(fields: readonly Field[], refs: Refs): Uint8Array {
  const writer = new BinaryWriter();
  for (const { at, value, times = 1 } of fields) {
    const content = contentOf(value, refs);
    const most = Math.max(1, Math.floor(repeatedMaxBytes / (typeof content === 'bigint' ? 10 : content.length + 6)));
    for (let left = Math.min(times, most); left > 0; left--) {
      if (typeof content === 'bigint') writer.tag(at, WireType.Varint).uint64(content);
      else writer.tag(at, WireType.LengthDelimited).bytes(content);
    }
  }
  return writer.finish();
}

/** A message from a plain object: keys are the names of the proto files, texts that begin with `$` are refs. */
export function treeOf(shapes: Shapes, message: string, object: object): Field[] {
  const shape = shapes.messages.get(message) ?? [];
  return Object.entries(object).flatMap(([name, value]: [string, unknown]) => {
    const field = shape.find((one) => one.name === name);
    if (!field) throw new Error(`There is no field "${name}" in ${message}`);
    const all: readonly unknown[] = Array.isArray(value) ? value : [value];
    return all.map((one) => ({ at: field.at, value: leafOrMessage(shapes, field.message, one) }));
  });
}

function leafOrMessage(shapes: Shapes, message: string | undefined, value: unknown): Value {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
  if (typeof value === 'string') return value.startsWith('$') ? { ref: value.slice(1) } : { text: value };
  if (typeof value === 'object' && value !== null && message) return { fields: treeOf(shapes, message, value) };
  return { number: String(Number(value)) };
}

function contentOf(value: Value, refs: Refs): Uint8Array | bigint {
  if ('text' in value) return Buffer.from(value.text);
  if ('bytes' in value) return Buffer.from(value.bytes, 'base64');
  if ('number' in value) return BigInt.asUintN(64, BigInt(value.number));
  if ('fields' in value) return encodeTree(value.fields, refs);
  return Buffer.from(refs(value.ref));
}
