import { expect, it } from 'vitest';
import { fullPace, paceAt, timeLeftMs } from '../../../node-agent/attempts/pace.ts';

it('a job that is stopped spends none of its time', () => {
  const stopped = { ...paceAt(fullPace, 1_000), share: 0 };
  const later = paceAt(stopped, 61_000);
  expect(later).toMatchObject({ pausedMs: 60_000, lostMs: 60_000 });
  expect(timeLeftMs(stopped, 0, 10_000, 61_000)).toBeUndefined();
  expect(timeLeftMs({ ...later, share: 1 }, 0, 10_000, 61_000)).toBe(9_000);
});

it('a job that has half of what it was granted spends half of the time, and has twice as long left', () => {
  const slow = { ...paceAt(fullPace, 1_000), share: 0.5 };
  expect(paceAt(slow, 5_000)).toMatchObject({ pausedMs: 0, lostMs: 2_000 });
  expect(timeLeftMs(slow, 1_000, 10_000, 5_000)).toBe(16_000);
});

it('a clock that is put back while a job is stopped takes nothing away from it', () => {
  const stopped = { ...paceAt(fullPace, 10_000), share: 0 };
  expect(paceAt(stopped, 4_000)).toMatchObject({ pausedMs: 0, lostMs: 0 });
});
