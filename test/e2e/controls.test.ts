import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab({ agents: { n1: { cpus: 1 } } });
const waiting = (go: string) => `while [ ! -e ${go} ]; do sleep 0.05; done`;

it('waits for the jobs that were named, and knows when there is none', async () => {
  const file = lab().jobFile('some', {
    name: 'some',
    namespace: 't',
    jobs: [
      { name: 'quick', needs: { cpus: 1 }, run: 'exit 0' },
      { name: 'bad', needs: { cpus: 1 }, run: 'exit 3' },
      { name: 'long', needs: { cpus: 1 }, run: 'sleep 60' },
    ],
  });
  await lab().ok('submit', file);
  expect((await lab().labrun('wait', 't/some/quick')).code).toBe(0);
  expect((await lab().labrun('wait', 't/some/bad')).code).toBe(1);
  expect((await lab().labrun('wait', 't/some/nothing')).code).toBe(3);
  await lab().ok('cancel', 't/some');
  expect((await lab().labrun('wait', 't/some')).code).toBe(1);
});

it('holds what waits and releases it', async () => {
  const go = lab().path('go-hold');
  const file = lab().jobFile('held', {
    name: 'held',
    namespace: 't',
    jobs: [{ name: 'j', matrix: { i: ['1', '2', '3'] }, needs: { cpus: 1 }, run: waiting(go) }],
  });
  await lab().ok('submit', file);
  await lab().untilStatus('t/held', 'one runs', ({ counts }) => counts.running === 1);
  await lab().ok('hold', 't/held');
  writeFileSync(go, '');
  const held = await lab().untilStatus('t/held', 'the running one ends', ({ counts }) => counts.succeeded >= 1);
  expect(held.counts.held).toBeGreaterThan(0);
  await lab().ok('release', 't/held');
  await lab().ok('wait', 't/held');
  expect((await lab().json('status', 't/held')).counts.succeeded).toBe(3);
});

it('cancels by job and by batch, and keeps what a cancelled job had written', async () => {
  const file = lab().jobFile('stopped', {
    name: 'stopped',
    namespace: 't',
    jobs: [
      { name: 'a', needs: { cpus: 1 }, run: `echo half > $LABRUN_ARCHIVE/half; ${waiting('/nowhere')}` },
      { name: 'b', needs: { cpus: 1 }, run: 'true' },
    ],
  });
  await lab().ok('submit', file);
  await lab().untilStatus('t/stopped', 'the first runs', ({ counts }) => counts.running === 1);
  await lab().ok('cancel', 't/stopped/a');
  await lab()
    .ok('wait', 't/stopped')
    .catch(() => undefined);
  const { jobs } = await lab().json('status', 't/stopped');
  expect(jobs.map((job: { state: string }) => job.state)).toEqual(['cancelled', 'succeeded']);
  expect(readFileSync(`${lab().archive}/t/stopped/a/half`, 'utf8')).toBe('half\n');
});

it('gives a job that is told to stop its grace, and tries a failed job again as often as it may', async () => {
  const witness = lab().path('tries');
  const file = lab().jobFile('graceful', {
    name: 'graceful',
    namespace: 't',
    jobs: [
      {
        name: 'polite',
        needs: { cpus: 1 },
        timeLimit: '3s',
        run: `trap 'echo saved > $LABRUN_ARCHIVE/saved; exit 0' TERM; ${waiting('/nowhere')}`,
      },
      {
        name: 'stubborn',
        needs: { cpus: 1 },
        retries: 2,
        run: `echo try >> ${witness}; [ $(wc -l < ${witness}) = 3 ]`,
      },
    ],
  });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  const { jobs } = await lab().json('status', 't/graceful');
  expect(jobs).toMatchObject([
    { name: 'polite', state: 'failed', reason: 'timeout' },
    { name: 'stubborn', state: 'succeeded', attempt: 3 },
  ]);
  expect(readFileSync(`${lab().archive}/t/graceful/polite/saved`, 'utf8')).toBe('saved\n');
});

it('picks up a capability that is added to the configuration of a running agent', async () => {
  const file = lab().jobFile('later', {
    name: 'later',
    namespace: 't',
    jobs: [{ name: 'j', needs: { capabilities: ['later'], cpus: 1 }, run: 'echo $FROM_CONFIG' }],
  });
  await lab().ok('submit', file);
  writeFileSync(
    lab().path('agent-n1.yaml'),
    JSON.stringify({ cpus: 1, capabilities: { later: { env: { FROM_CONFIG: 'yes' } } } }),
  );
  await until('the job has run', async () => (await lab().json('status', 't/later')).state === 'succeeded', 15_000);
  expect(await lab().ok('logs', 't/later/j')).toBe('yes\n');
});
