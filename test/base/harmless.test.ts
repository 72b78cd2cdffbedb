import { expect, it } from 'vitest';
import { harmless, harmlessJson, harmlessLine } from '../../base/harmless.ts';

it('shows control characters instead of obeying them', () => {
  expect(harmless('a\x1b]0;title\x07b\rc\x9bd')).toBe('a\\x1b]0;title\\x07b\\x0dc\\x9bd');
  expect(harmless('\x1b[2Jgone\x1b[31m')).toBe('\\x1b[2Jgone\\x1b[31m');
  expect(harmless('abc\u202ecba')).toBe('abc\\u202ecba');
});

it('leaves lines, tabs and letters of any script', () => {
  const text = 'Grüße\t日本\n🙂';
  expect(harmless(text)).toBe(text);
});

it('makes one line of several, so that none of them looks like ours', () => {
  expect(harmlessLine('a \n\t7  job-succeeded\x1b[2K')).toBe('a 7  job-succeeded\\x1b[2K');
});

it('leaves JSON what it means', () => {
  const value = { text: 'a\x1b[31m\x9b2J\x7f\u202e\n🙂' };
  const json = harmlessJson(JSON.stringify(value));
  expect(json).toBe('{"text":"a\\u001b[31m\\u009b2J\\u007f\\u202e\\n🙂"}');
  expect(JSON.parse(json)).toEqual(value);
});
