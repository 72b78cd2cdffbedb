import { expect, it } from 'vitest';
import { dataFrame, type HostWord, sizeFrame, wordsOf } from '../../../node-agent/executor/terminal-host/frames.ts';

it('words come out as they went in, however the bytes between are cut', async () => {
  const typed = Buffer.from('ls -l\r\0\xff', 'latin1');
  const bytes = Buffer.concat([
    dataFrame(typed),
    sizeFrame({ columns: 91, rows: 22 }),
    dataFrame(Buffer.alloc(70_000, 'x')),
  ]);
  for (const pieceBytes of [1, 3, 7, 4_096, bytes.length]) {
    const words: HostWord[] = [];
    for await (const word of wordsOf(pieces(bytes, pieceBytes))) words.push(word);
    expect(words.map(({ kind }) => kind)).toEqual(['data', 'size', 'data']);
    expect(words[0]).toEqual({ kind: 'data', data: typed });
    expect(words[1]).toEqual({ kind: 'size', size: { columns: 91, rows: 22 } });
  }
});

it('drops half a word at the end: whoever was saying it has gone', async () => {
  const whole = dataFrame(Buffer.from('exit\r'));
  const words: HostWord[] = [];
  for await (const word of wordsOf(pieces(Buffer.concat([whole, whole.subarray(0, 7)]), 4))) words.push(word);
  expect(words).toHaveLength(1);
});

async function* pieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}
