import { expect, it } from 'vitest';
import { harmless } from '../../cli/harmless.ts';

it('shows control characters instead of obeying them', () => {
  expect(harmless('a\x1b]0;title\x07b\rc\x9bd')).toBe('a\\x1b]0;title\\x07b\\x0dc\\x9bd');
  expect(harmless('\x1b[2Jgone')).toBe('\\x1b[2Jgone');
  expect(harmless('abc\u202ecba')).toBe('abc\\u202ecba');
});

it('leaves lines, tabs, letters of any script and plain colours', () => {
  const text = 'Grüße\t日本\n\x1b[31mred\x1b[39m';
  expect(harmless(text)).toBe(text);
});
