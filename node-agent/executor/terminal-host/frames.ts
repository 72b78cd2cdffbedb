import type { WindowSize } from '../terminal.ts';

// What an agent says to the process that keeps a terminal: each word with its kind and its length before it. What that
// process says is what the program in the terminal says, and nothing else.

/** One word of the agent. */
export type HostWord =
  | { readonly kind: 'data'; readonly data: Buffer }
  | { readonly kind: 'size'; readonly size: WindowSize };

/** Bytes before each word: its kind, and its length. */
const headBytes = 5;
const kinds = { data: 1, size: 2 } as const;

/** What was typed, as a word. */
export function dataFrame(data: Uint8Array): Buffer {
  return Buffer.concat([head(kinds.data, data.length), data]);
}

/** How large the window is now, as a word. */
export function sizeFrame({ columns, rows }: WindowSize): Buffer {
  const frame = Buffer.concat([head(kinds.size, 4), Buffer.alloc(4)]);
  frame.writeUInt16BE(columns, headBytes);
  frame.writeUInt16BE(rows, headBytes + 2);
  return frame;
}

/** The words in a stream of bytes; half a word at its end is dropped. */
export async function* wordsOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<HostWord> {
  let held: Buffer = Buffer.alloc(0);
  for await (const more of bytes) {
    held = held.length === 0 ? more : Buffer.concat([held, more]);
    while (held.length >= headBytes && held.length >= headBytes + held.readUInt32BE(1)) {
      const end = headBytes + held.readUInt32BE(1);
      const body = held.subarray(headBytes, end);
      if (held[0] === kinds.data) yield { kind: 'data', data: body };
      else yield { kind: 'size', size: { columns: body.readUInt16BE(0), rows: body.readUInt16BE(2) } };
      held = held.subarray(end);
    }
  }
}

function head(kind: number, length: number): Buffer {
  const bytes = Buffer.alloc(headBytes);
  bytes[0] = kind;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
