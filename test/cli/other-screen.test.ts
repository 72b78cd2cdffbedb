import { expect, it } from 'vitest';
import { OtherScreen } from '../../cli/other-screen.ts';

const after = (...pieces: readonly string[]) => {
  const screen = new OtherScreen();
  for (const piece of pieces) screen.take(Buffer.from(piece, 'latin1'));
  return screen.isOn;
};

it('knows that an editor is open, and that it was closed', () => {
  expect(after('ls\r\n')).toBe(false);
  expect(after('\u001b[?1049h~ ~ ~')).toBe(true);
  expect(after('\u001b[?1049h~ ~ ~', 'text', '\u001b[?1049l$ ')).toBe(false);
  expect(after('\u001b[?47h', '\u001b[?25h\u001b[?1h')).toBe(true);
});

it('reads words that come in two pieces, wherever they are cut', () => {
  const word = '\u001b[?1049h';
  for (let at = 0; at <= word.length; at++) expect(after(`x${word.slice(0, at)}`, `${word.slice(at)}y`)).toBe(true);
  expect(after('\u001b[?104', '\u001b[?25l', '9h')).toBe(false);
});
