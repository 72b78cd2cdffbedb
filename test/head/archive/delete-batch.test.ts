import { expect, it } from 'vitest';
import { isDone } from '../../../head/archive/delete-batch.ts';

it('empties a folder once for each deletion, also when records are repeated', () => {
  expect(isDone({ seq: 10, atMs: 100 }, { seq: 10, atMs: 100 })).toBe(true);
  expect(isDone({ seq: 5, atMs: 50 }, { seq: 10, atMs: 100 })).toBe(true);
  expect(isDone({ seq: 20, atMs: 200 }, { seq: 10, atMs: 100 })).toBe(false);
});

it('empties it again for a deletion that follows on an end of the log that was lost, whose numbers are given anew', () => {
  expect(isDone({ seq: 7, atMs: 200 }, { seq: 10, atMs: 100 })).toBe(false);
});
