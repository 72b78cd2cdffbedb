import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runSim } from '../kit/run-sim.ts';

const program = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist', 'sim.js');

/** Worlds in each of two processes; in all they have over 10,000 crashes. */
const seeds = 100;

it('keeps every promise through ten thousand crashes', { timeout: 600_000 }, async () => {
  const halves = await Promise.all(
    [1, 1 + seeds].map((first) => runSim(program, '--first', String(first), '--seeds', String(seeds))),
  );
  for (const { output, code } of halves) expect(code, output).toBe(0);
  const crashes = halves.map(({ output }) => Number(/(\d+) crashes: every promise kept/.exec(output)?.[1]));
  expect(crashes.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(10_000);
});
