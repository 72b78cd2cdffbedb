import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { selectNews } from '../../../node-agent/scratch/select.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

/** A working folder with these files, and what the patterns choose in it. */
async function choose(patterns: readonly string[], files: readonly string[], prepare = (_work: string) => {}) {
  const work = scratchFolder();
  for (const path of files) {
    mkdirSync(join(work, path, '..'), { recursive: true });
    writeFileSync(join(work, path), 'x');
  }
  prepare(work);
  const chosen = await selectNews({ work, patterns, before: new Map(), owner: undefined, clock: systemClock });
  return { paths: chosen.entries.map(({ path }) => path).sort(), problems: chosen.problems };
}

it('a pattern that would take for ever is named, and costs nothing but what it would have chosen', async () => {
  const slow = '**/a*a*a*a*a*a*a*a*a*a*Z';
  const long = Array.from({ length: 40 }, (_, at) => `in/${'a'.repeat(200)}${at}`);
  const sinceMs = performance.now();
  const { paths, problems } = await choose([slow, '*.dat'], ['good.dat', ...long]);
  expect(performance.now() - sinceMs).toBeLessThan(10_000);
  expect(paths).toEqual(['good.dat']);
  expect(problems).toEqual([
    `Cannot archive "${slow}": the pattern "${slow}" takes too long to match; write fewer stars`,
  ]);
}, 40_000);

it('many slow patterns have the time of a few', async () => {
  const long = Array.from({ length: 500 }, (_, at) => `${'a'.repeat(200)}${at}`);
  const slow = Array.from({ length: 500 }, (_, at) => `${'a*'.repeat(12)}Z${at}`);
  const sinceMs = performance.now();
  const { problems } = await choose(slow, long);
  expect(problems).toHaveLength(500);
  expect(performance.now() - sinceMs).toBeLessThan(15_000);
}, 30_000);

it('patterns reach nothing outside of the working folder, by dots, as absolute paths, or through links', async () => {
  const outside = scratchFolder();
  writeFileSync(join(outside, 'file'), 'secret');
  const patterns = [
    'out/file',
    'out/*',
    'out',
    `${outside}/file`,
    '../*/file',
    '../..',
    '..',
    './in/*',
    'in/../in/own',
  ];
  const { paths, problems } = await choose(patterns, ['in/own'], (work) => symlinkSync(outside, join(work, 'out')));
  expect(paths).toEqual(['in/own', 'out']);
  expect(problems.join('\n')).not.toContain('secret');
  expect(problems).toEqual([
    'Cannot archive "out/file": a link on the way to it leads elsewhere',
    `Cannot archive "${outside}/file": its path is absolute; write it relative`,
    'Cannot archive "../*/file": its path leaves its folder by ".."',
    'Cannot archive "../..": its path leaves its folder by ".."',
    'Cannot archive "..": its path leaves its folder by ".."',
  ]);
});
