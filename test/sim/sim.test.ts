import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runSim } from '../kit/run-sim.ts';
import { happenings } from './tally.ts';

const program = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist', 'sim.js');

/** Worlds in each of two processes; in all they have over 10,000 crashes, and everything happens that can. */
const seeds = 110;

it('keeps every promise through ten thousand crashes, lost ends of the log, restores, full disks, sleep and clocks that jump', {
  timeout: 600_000,
}, async () => {
  const halves = await Promise.all(
    [1, 1 + seeds].map((first) => runSim(program, '--first', String(first), '--seeds', String(seeds))),
  );
  for (const { output, code } of halves) expect(code, output).toBe(0);
  const crashes = halves.map(({ output }) => Number(/(\d+) crashes: every promise kept/.exec(output)?.[1]));
  expect(crashes.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(10_000);
  for (const what of happenings) {
    const times = halves.map(({ output }) => Number(new RegExp(`\\b${what} (\\d+)`).exec(output)?.[1]));
    expect(
      times.reduce((sum, count) => sum + count, 0),
      what,
    ).toBeGreaterThan(0);
  }
});
