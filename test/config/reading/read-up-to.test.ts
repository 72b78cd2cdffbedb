import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readUpTo } from '../../../config/reading/read-up-to.ts';
import { problemsOf } from '../../kit/job-folder.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

it('reads what a person named, and no more than it may have', async () => {
  const path = join(scratchFolder(), 'file');
  writeFileSync(path, 'x'.repeat(200_000));
  expect((await readUpTo(path, 200_000)).length).toBe(200_000);
  await expect(readUpTo(path, 199_999)).rejects.toThrow('it has more than 199999 bytes');
  await expect(readUpTo('/dev/zero', 1_000_000)).rejects.toThrow('more than 1000000 bytes');
});

it('takes no device for a job file or a table', async () => {
  expect(await problemsOf({ 'labrun.yaml': { link: '/dev/zero' } })).toMatch(/Cannot read the job file .*more than/);
  const table = 'name: t\njobs: [{name: "j{{x}}", matrix: {from: points.csv}, run: "true"}]\n';
  expect(await problemsOf({ 'labrun.yaml': table, 'points.csv': { link: '/dev/zero' } })).toContain('is no file');
});
