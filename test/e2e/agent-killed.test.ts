import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';
import { isAlive } from '../kit/proc.ts';
import { until } from '../kit/until.ts';

it('finds its running job again after it was killed, with log and result', async () => {
  const lab = await ownLab();
  const { file, pid } = waitingJob(lab.path('go'), lab.path('pid'), (spec) => lab.jobFile('kept', spec));
  await lab.ok('submit', file);
  const job = await until('the job runs', () => pid());
  await lab.agents.get('n1')?.end('SIGKILL');
  expect(isAlive(job)).toBe(true);
  // A dead agent is noticed at once, not by a timeout of minutes.
  await until(
    'the node is shown as gone',
    async () => (await lab.json('nodes')).nodes[0].state !== 'connected',
    15_000,
  );
  await lab.startAgent('n1');
  expect(isAlive(job)).toBe(true);
  await lab.untilStatus('t/kept', 'the job is shown as running', ({ counts }) => counts.running === 1);
  writeFileSync(lab.path('go'), '');
  await lab.ok('wait', 't/kept');
  expect(await lab.json('status', 't/kept')).toMatchObject({ jobs: [{ state: 'succeeded', attempt: 1 }] });
  expect(await lab.ok('logs', 't/kept/j')).toBe('begun\nended\n');
  expect(readFileSync(`${lab.archive}/t/kept/j/answer`, 'utf8')).toBe('42\n');
});

it('delivers the result of a job that ended while its agent was dead', async () => {
  const lab = await ownLab();
  const { file, pid } = waitingJob(lab.path('go'), lab.path('pid'), (spec) => lab.jobFile('kept', spec));
  await lab.ok('submit', file);
  const job = await until('the job runs', () => pid());
  await lab.agents.get('n1')?.end('SIGKILL');
  writeFileSync(lab.path('go'), '');
  await until('the job ends without its agent', () => !isAlive(job));
  await lab.startAgent('n1');
  await lab.ok('wait', 't/kept');
  expect(await lab.json('status', 't/kept')).toMatchObject({ jobs: [{ state: 'succeeded', attempt: 1 }] });
  expect(readFileSync(`${lab.archive}/t/kept/j/answer`, 'utf8')).toBe('42\n');
});

it('stops without stopping its job, and keeps what the head has not got yet', async () => {
  const lab = await ownLab();
  const { file, pid } = waitingJob(lab.path('go'), lab.path('pid'), (spec) => lab.jobFile('kept', spec));
  await lab.ok('submit', file);
  const job = await until('the job runs', () => pid());
  await lab.head.end('SIGKILL');
  expect((await lab.agents.get('n1')?.stop())?.code).toBe(0);
  expect(isAlive(job)).toBe(true);
  writeFileSync(lab.path('go'), '');
  await until('the job ends', () => !isAlive(job));
  // An agent that starts without a head must not wipe the only copy of a result.
  lab.launchAgent('n1');
  await lab.startHead();
  await lab.ok('wait', 't/kept');
  expect(readFileSync(`${lab.archive}/t/kept/j/answer`, 'utf8')).toBe('42\n');
});

function waitingJob(go: string, pidFile: string, write: (spec: object) => string) {
  const run = `echo $$ > ${pidFile}; echo begun; while [ ! -e ${go} ]; do sleep 0.05; done; echo 42 > $LABRUN_ARCHIVE/answer; echo ended`;
  const file = write({ name: 'kept', namespace: 't', jobs: [{ name: 'j', needs: { cpus: 1 }, run }] });
  return { file, pid: () => Number(readFileSync(pidFile, 'utf8')) || undefined };
}
