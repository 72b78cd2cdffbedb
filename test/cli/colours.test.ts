import fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeColours, oneLine, shown, withoutColour } from '../../cli/colours.ts';

const colour = makeColours(true);

it('shows our own colours and not those that came with the text, wherever they are joined', () => {
  const evil = '\x1b[31mred\x1b[39m';
  expect(shown(`${evil} ${colour.green(evil)}`)).toBe('\\x1b[31mred\\x1b[39m \x1b[32m\\x1b[31mred\\x1b[39m\x1b[39m');
  expect(shown(oneLine(colour.red(`a\n ${evil}`)))).toBe('\x1b[31ma \\x1b[31mred\\x1b[39m\x1b[39m');
});

it('counts no colour as text, and adds none where colours are off', () => {
  expect(withoutColour(colour.bold(colour.dim('x')))).toBe('x');
  expect(makeColours(false).bold('x')).toBe('x');
});

it('lets no text whatever send a control character of its own', () => {
  const wild = fc.string({
    unit: fc.oneof(fc.string({ unit: 'binary', maxLength: 2 }), fc.constantFrom('\x1b', '[', '31m', '\x9b', '\u202e')),
  });
  fc.assert(
    fc.property(wild, (text) => {
      const seen = shown(`${text}${colour.cyan(text)}`);
      const own = seen.replace('\x1b[36m', '').replace('\x1b[39m', '');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for control characters is its purpose
      expect(own).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/);
    }),
  );
});
