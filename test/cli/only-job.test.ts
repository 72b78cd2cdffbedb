import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { onlyJob } from '../../cli/only-job.ts';
import { resolveJobFile } from '../../config/job-file.ts';
import { locateJob } from '../../config/matrix.ts';
import { readSpec } from '../../config/spec-file.ts';

async function sweep() {
  const folder = mkdtempSync(join(tmpdir(), 'only-job-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const matrix = { nu: ['1e-5', '0.10'], mesh: ['coarse', 'fine'] };
  const jobs = [
    { name: 'first', run: 'true' },
    { name: 'run', matrix, run: 'echo {{nu}}' },
  ];
  writeFileSync(join(folder, 'labrun.yaml'), JSON.stringify({ name: 'sweep', jobs }));
  return resolveJobFile(join(folder, 'labrun.yaml'), { user: 'me' });
}

it('keeps one job of a sweep with its name and parameters', async () => {
  const whole = await sweep();
  const name = locateJob(whole.spec, 3).name;
  const spec = readSpec(onlyJob(whole, name.toUpperCase()).specBytes);
  if ('kind' in spec) throw new Error(spec.message);
  expect(spec.groups.map(({ count }) => count)).toEqual([1]);
  expect(locateJob(spec, 0)).toMatchObject({ name, params: { nu: '0.10', mesh: 'coarse' } });
});

it('keeps a job that has no parameters', async () => {
  const { spec } = onlyJob(await sweep(), 'first');
  expect(locateJob(spec, 0)).toMatchObject({ name: 'first', params: {} });
});

it('refuses the name of a job that is not there', async () => {
  const whole = await sweep();
  expect(() => onlyJob(whole, 'second')).toThrow('"second"');
});
