import { existsSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';

const lab = sharedLab({ agents: { n1: { cpus: 1 }, n2: { cpus: 1 } } });
const many = Array.from({ length: 40 }, (_, at) => String(at));
const aBatch = (name: string, run: string, over: object = {}) =>
  lab().jobFile(name, {
    name,
    namespace: 't',
    ...over,
    jobs: [{ name: 'j', matrix: { i: many }, needs: { cpus: 1 }, run }],
  });

it('holds a batch that cannot work, says so, and lets it go on when that is put right', async () => {
  const right = lab().path('put-right');
  const submitted = await lab().labrun('submit', aBatch('wrong', `test -e ${right}`), '--wait');
  expect(submitted.code).toBe(1);
  expect(submitted.stderr).toMatch(/\d+ jobs held: the first 10 of its jobs to end have all failed \(on n1, n2\)/);
  expect(submitted.stderr).toContain('labrun release t/wrong');
  const status = await lab().json('status', 't/wrong');
  expect(status.state).toBe('held');
  // What ran when the tenth had failed was left to its end.
  expect(status.counts.failed).toBeLessThan(16);
  expect(status.counts.held).toBe(40 - status.counts.failed);
  expect(status.notice).toMatch(/all failed/);
  expect(await lab().ok('status', 't/wrong')).toContain(status.notice);
  expect(await lab().ok('why', 't/wrong', '--state', 'held')).toContain(status.notice);
  expect(await lab().ok('events', 't/wrong')).toMatch(/batch-held.*jobs are held/);
  expect((await lab().labrun('wait', 't/wrong/j-i-39')).code).toBe(1);

  writeFileSync(right, '');
  await lab().ok('release', 't/wrong');
  await lab().ok('retry', 't/wrong', '--state', 'failed');
  await lab().ok('wait', 't/wrong');
  expect(await lab().json('status', 't/wrong')).toMatchObject({ counts: { succeeded: 40 }, notice: null });
}, 60_000);

it('runs every job of a batch whose file says so, though all fail', async () => {
  const witness = lab().path('witness');
  const file = aBatch('stubborn', `echo x >> ${witness}; exit 1`, { maxFailures: 'none' });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  expect((await lab().json('status', 't/stubborn')).counts).toMatchObject({ failed: 40, held: 0 });
  expect(existsSync(witness)).toBe(true);
}, 60_000);

it('ends a run on this machine alone, too', async () => {
  const run = await lab().labrun('run', aBatch('alone', 'exit 1'), '--to', lab().path('results'));
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/jobs held: the first 10 of its jobs to end have all failed/);
}, 60_000);
