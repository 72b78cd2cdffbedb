import { uptime } from 'node:os';
import { expect, it, onTestFinished, vi } from 'vitest';
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

it('waits as long as it is asked to, also for months', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const dayMs = 86_400_000;
  const called: string[] = [];
  systemClock.setTimer(60 * dayMs, () => called.push('after 60 days'));
  systemClock.setTimer(-1, () => called.push('at once'));
  const cancelled = systemClock.setTimer(60 * dayMs, () => called.push('cancelled'));
  vi.advanceTimersByTime(59 * dayMs);
  expect(called).toEqual(['at once']);
  cancelled.cancel();
  vi.advanceTimersByTime(dayMs);
  expect(called).toEqual(['at once', 'after 60 days']);
  expect(vi.getTimerCount()).toBe(0);
});
