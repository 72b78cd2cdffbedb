import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const program = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist', 'sim.js');

/** Worlds in each of two processes; in all they have over 10,000 crashes. */
const seeds = 100;

it('keeps every promise through ten thousand crashes', { timeout: 400_000 }, async () => {
  const halves = await Promise.all([1, 1 + seeds].map((first) => letHappen(first)));
  expect(halves.map((output) => /every promise kept/.test(output))).toEqual([true, true]);
  const crashes = halves.map((output) => Number(/(\d+) crashes/.exec(output)?.[1]));
  expect(crashes.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(10_000);
});

/** The output of so many worlds; what it says of a broken promise is the test's own failure. */
async function letHappen(first: number): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...[program, '--first', String(first), '--seeds', String(seeds)],
  ]).catch((error: { stdout?: string; stderr?: string }) => {
    throw new Error(`${error.stdout ?? ''}${error.stderr ?? ''}`, { cause: error });
  });
  return stdout;
}
