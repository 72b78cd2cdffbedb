import { describe, expect, it } from 'vitest';
import { nameMatcher, readSelection } from '../../head/select.ts';

describe('a glob for jobs', () => {
  it.each([
    ['run-*', 'run-1', true],
    ['run-*', 'walk-1', false],
    ['r?n', 'run', true],
    ['r?n', 'rn', false],
    ['*-1*2', 'a-1-1-2', true],
    ['**', 'anything', true],
    ['a*b', 'ab', true],
    ['a*b', 'abc', false],
    ['[ab]*', 'b1', true],
    ['x{1,2}', 'x2', true],
  ])('%s against %s: %s', (glob, name, fits) => {
    expect(nameMatcher(glob)(name)).toBe(fits);
  });

  it('takes no longer with many stars', () => {
    expect(nameMatcher('*a*a*a*a*a*a*a*a*b')('a'.repeat(120))).toBe(false);
  });

  it('has few stars beside brackets', () => {
    const text = { namespace: '', batch: 'b', job: '*a*a*a*a*[b]', states: [], reasons: [], where: [] };
    expect(readSelection(text, 'kim')).toMatchObject({ kind: 'refused', code: 'invalid' });
  });
});
