import { openSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { withSpares } from '../../base/spare-descriptors.ts';
import { useUpDescriptors } from '../kit/no-descriptors.ts';

it('reads although every descriptor is taken, again and again', () => {
  useUpDescriptors();
  const open = () => openSync('/dev/null', 'r');
  expect(open).toThrow(/EMFILE/);
  for (let times = 0; times < 3; times++)
    expect(withSpares(() => readFileSync('/proc/self/comm', 'utf8')).length).toBeGreaterThan(0);
  // They are taken again: others still get none.
  expect(open).toThrow(/EMFILE/);
  expect(() => withSpares(() => readFileSync('/nothing/here'))).toThrow(/ENOENT/);
});
