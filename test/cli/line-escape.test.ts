import { describe, expect, it } from 'vitest';
import { LineEscape } from '../../cli/line-escape.ts';

/** Everything sent for these pieces, typed one after the other, and whether the last said to leave. */
function typed(...pieces: readonly string[]) {
  const line = new LineEscape();
  const taken = pieces.map((piece) => line.take(Buffer.from(piece)));
  return { sent: taken.map(({ send }) => send.toString()).join('|'), leaves: taken.at(-1)?.leaves };
}

describe('"~." at the beginning of a line', () => {
  it('leaves, and nothing of it is sent', () => {
    expect(typed('~.')).toEqual({ sent: '', leaves: true });
    expect(typed('ls\r~.rest')).toEqual({ sent: 'ls\r', leaves: true });
    expect(typed('ls\n', '~', '.')).toEqual({ sent: 'ls\n||', leaves: true });
  });

  it('is text anywhere else', () => {
    expect(typed('cp ~/a ~.')).toEqual({ sent: 'cp ~/a ~.', leaves: false });
    expect(typed('a', '~', '.')).toEqual({ sent: 'a|~|.', leaves: false });
  });

  it('lets a "~" through by what follows it, and "~~" as one', () => {
    expect(typed('~/bin/x\r')).toEqual({ sent: '~/bin/x\r', leaves: false });
    expect(typed('~~.\r')).toEqual({ sent: '~.\r', leaves: false });
    expect(typed('~', '\r', '~.')).toEqual({ sent: '|~\r|', leaves: true });
  });

  it('leaves bytes of any other text as they are', () => {
    const bytes = Buffer.from([0xc3, 0xa9, 0x00, 0xff, 0x1b, 0x5b, 0x41]);
    expect(new LineEscape().take(bytes).send.equals(bytes)).toBe(true);
  });
});
