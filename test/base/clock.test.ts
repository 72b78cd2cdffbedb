import { uptime } from 'node:os';
import { expect, it } from 'vitest';
import { steadyClock, systemClock } from '../../base/clock.ts';

it('counts from the start of the machine, and never backwards', () => {
  const first = systemClock.sinceBootMs();
  expect(Math.abs(first - uptime() * 1_000)).toBeLessThan(1_000);
  expect(systemClock.sinceBootMs()).toBeGreaterThanOrEqual(first);
});

it('goes on steadily where it is asked to, however the wall clock jumps', () => {
  let jumpMs = 0;
  const nowMs = () => systemClock.nowMs() + jumpMs;
  const clock = steadyClock({ ...systemClock, nowMs });
  const first = clock.nowMs();
  expect(Math.abs(first - systemClock.nowMs())).toBeLessThan(1_000);
  for (jumpMs of [7_200_000, -7_200_000]) expect(Math.abs(clock.nowMs() - first)).toBeLessThan(1_000);
});
