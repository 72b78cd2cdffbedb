import { describe, expect, it } from 'vitest';
import { RefusedError } from '../../../base/errors.ts';
import { readFilter } from '../../../head/archive/patterns.ts';

describe('a pattern for files', () => {
  it.each(['a*a*a*a*a*a*a*Z', '(a|a)*Z', '(a|aa)+$'])('is refused when it takes too long: %s', (pattern) => {
    const filter = readFilter([pattern], []);
    if (typeof filter !== 'function') throw new Error(filter.message);
    expect(() => filter(`batch/job/${'a'.repeat(1_200)}!`)).toThrow(RefusedError);
  });

  it('chooses by include and exclude, also with several repetitions', () => {
    const filter = readFilter(['run.*/out.*\\.csv$'], ['draft']);
    if (typeof filter !== 'function') throw new Error(filter.message);
    expect(filter('b/run-1/out-2.csv')).toBe(true);
    expect(filter('b/run-1/out-2.txt')).toBe(false);
    expect(filter('b/run-1/out-draft.csv')).toBe(false);
  });
});
