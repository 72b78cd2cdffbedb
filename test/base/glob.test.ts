import picomatch from 'picomatch';
import { describe, expect, it } from 'vitest';
import { Glob } from '../../base/glob.ts';

const paths = ['a', 'a.dat', 'b/a.dat', 'b/c/a.dat', 'b', '.hidden', 'b/.hidden/x', 'ab1', 'ab2', 'x{1}', 'ü'];
const globs = [
  '*',
  '**',
  '*.dat',
  '**/*.dat',
  'b/**',
  'b/*',
  'ab[12]',
  'ab{1,2}',
  '.*',
  '!(a)',
  '?',
  'x\\{1\\}',
  '[',
  '(',
];

describe('a glob', () => {
  it('fits what it would fit without a limit', () => {
    for (const dot of [true, false]) {
      for (const text of globs) {
        const fits = picomatch(text, { dot });
        const found = new Glob(text, { dot }).test(paths, 1_000);
        expect([...found], text).toEqual(paths.map((path) => fits(path)));
      }
    }
    expect([...new Glob('b', {}, ['b/**']).test(paths, 1_000)].filter(Boolean)).toHaveLength(3);
  });

  it.each(['a*a*a*a*a*a*a*a*a*a*Z', '*(a|a|aa)*(a|aa)*(aa|a)Z', '**/*a*a*a*a*a*a*a*a*Z', '{a,a*a,a*a*a}{*a*a*a*a,*}Z'])(
    'is cut off when it takes too long: %s',
    (text) => {
      const glob = new Glob(text);
      const sinceMs = performance.now();
      const long = ['a'.repeat(120), `${'a/'.repeat(30)}${'a'.repeat(60)}`, 'a'.repeat(255)];
      for (const path of long) {
        try {
          glob.test([path], 100);
        } catch (error) {
          expect(error).toMatchObject({ code: 'glob', message: expect.stringContaining('takes too long to match') });
        }
      }
      expect(performance.now() - sinceMs).toBeLessThan(8_000);
      expect([...new Glob(text).test(['b'], 1_000)]).toEqual([false]);
    },
    30_000,
  );

  it('is refused when it is too long', () => {
    expect(() => new Glob('a'.repeat(1_001))).toThrow('it has more than 1000 characters');
  });
});
