import { expect, it } from 'vitest';
import { makeColours, shown } from '../../cli/colours.ts';
import { joined, wrapped } from '../../cli/wrap.ts';

const { bold } = makeColours(true);

it('leaves what fits as it is, with its colours', () => {
  expect(shown(wrapped(`${bold('ws1')} at work`, 11).join('|'))).toBe('\u001b[1mws1\u001b[22m at work');
});

it('goes on below, between words, and cuts only what is longer than a line', () => {
  expect(wrapped(`${bold('ws1')} is at work now`, 8)).toEqual(['ws1 is', '  at', '  work', '  now']);
  expect(wrapped('abcdefghij', 6)).toEqual(['abcd', '  efgh', '  ij']);
});

it('keeps parts in one piece', () => {
  expect(joined(['p pause', 'r go on', 'q quit'], '   ', 18)).toEqual(['p pause   r go on', '  q quit']);
  expect(joined([], '   ', 18)).toEqual([]);
});
