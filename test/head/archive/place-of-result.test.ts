import { expect, it } from 'vitest';
import { placeOfResult } from '../../../head/archive/place-of-result.ts';

const result = (attempt: number, manifestHash: string | undefined = `blake3:${attempt}`) => ({ attempt, manifestHash });

it('takes the free folder, and that of an earlier attempt, which is kept', () => {
  expect(placeOfResult(result(1), 'none', 1)).toBe('free');
  expect(placeOfResult(result(2), result(1), 2)).toBe('in its place');
  expect(placeOfResult(result(1), 'foreign', 1)).toBe('earlier');
});

it('does nothing that was done before, and leaves the place to a later attempt when records are repeated', () => {
  expect(placeOfResult(result(1), result(1), 1)).toBe('there');
  expect(placeOfResult(result(1), result(1, undefined), 1)).toBe('there');
  expect(placeOfResult(result(1), result(3), 3)).toBe('earlier');
});

it('keeps aside what an end of the log gave that is lost: the same number, or one that was never given', () => {
  expect(placeOfResult(result(1), result(1, 'blake3:other'), 1)).toBe('in place of a lost one');
  expect(placeOfResult(result(1), result(2), 1)).toBe('in place of a lost one');
});
