import { uptime } from 'node:os';
import { expect, it } from 'vitest';
import { systemClock } from '../../base/clock.ts';

it('counts from the start of the machine, and never backwards', () => {
  const first = systemClock.sinceBootMs();
  expect(Math.abs(first - uptime() * 1_000)).toBeLessThan(1_000);
  expect(systemClock.sinceBootMs()).toBeGreaterThanOrEqual(first);
});
