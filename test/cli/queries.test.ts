import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';

const lab = sharedLab();

it('reads one selector grammar everywhere, says what it cannot do, and shows what is there', async () => {
  const jobs = [
    { name: 'j', matrix: { i: ['1', '012'] }, needs: { cpus: 1 }, run: 'echo {{i}}; test {{i}} = 1' },
    { name: 'never', needs: { capabilities: ['unobtainium'], cpus: 1 }, run: 'true' },
  ];
  const file = lab().jobFile('mix', { name: 'mixture', namespace: 't', jobs });
  const submitted = await lab().labrun('submit', file);
  expect(submitted).toMatchObject({ code: 0, stdout: 't/mixture\n' });
  expect(submitted.stderr).toContain('unobtainium');
  await lab().untilStatus('t/mixture', 'both ran', ({ counts }) => counts.succeeded + counts.failed === 2);

  // By the beginning of its name, and with a job.
  expect(await lab().ok('status', 't/mix')).toMatch(/1 job failed \(exit\)/);
  expect(await lab().ok('logs', 't/mix/j-i-012')).toBe('012\n');
  expect(
    (await lab().json('status', 't/mixture', '--where', 'i=012')).jobs.map(({ name }: { name: string }) => name),
  ).toEqual(['j-i-012']);
  expect(await lab().ok('why', 't/mixture/never')).toMatch(/n1\s+no\s+.*unobtainium/);

  const bare = await lab().labrun('retry', 't/mixture');
  expect(bare.code).toBe(2);
  expect(bare.stderr).toContain('--state failed');
  expect(await lab().json('cancel', 't/mixture/never')).toEqual({ changed: 1, selected: 1, stopping: 0, over: 0 });
  const waited = await lab().labrun('wait', 't/mixture');
  expect(waited).toMatchObject({ code: 1, stdout: '' });
  expect(waited.stderr).toMatch(/1 succeeded, 1 failed, 1 cancelled/);

  const replaced = await lab().labrun('submit', file, '--replace');
  expect(replaced).toMatchObject({ code: 2, stdout: '' });
  expect(replaced.stderr).toContain('--yes');
  expect((await lab().labrun('status', 't/nothing')).code).toBe(3);
});
