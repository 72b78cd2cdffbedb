import { expect, test } from 'vitest';
import { readDeskPolicy } from '../../../config/desk-policy.ts';
import { LongPause } from '../../../node-agent/desk/long-pause.ts';

const minute = 60_000;
const byDefault = readDeskPolicy('policy', '');
const never = Number.POSITIVE_INFINITY;

test('jobs that run look for no other machine, however short memory is', () => {
  expect(new LongPause().dueMs(byDefault, 0)).toBe(never);
});

test('memory that stays short sends jobs away two minutes after they were stopped, or after it became short', () => {
  const pause = new LongPause();
  pause.note(true, 10 * minute);
  expect(pause.dueMs(byDefault, undefined)).toBe(never);
  expect(pause.dueMs(byDefault, 5 * minute)).toBe(12 * minute);
  expect(pause.dueMs(byDefault, 30 * minute)).toBe(32 * minute);
});

test('a pause counts from its beginning, and anew after its end', () => {
  const policy = readDeskPolicy('policy', 'requeue: {afterPause: 1h}');
  const pause = new LongPause();
  pause.note(true, 0);
  pause.note(true, 20 * minute);
  expect(pause.dueMs(policy, undefined)).toBe(60 * minute);
  pause.note(false, 30 * minute);
  expect(pause.dueMs(policy, undefined)).toBe(never);
  pause.note(true, 40 * minute);
  expect(pause.dueMs(policy, undefined)).toBe(100 * minute);
});
