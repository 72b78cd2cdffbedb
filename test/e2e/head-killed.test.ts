import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

it('completes a batch over two deaths of the head, and runs nothing again whose end was acknowledged', async () => {
  const lab = await ownLab();
  const witness = lab.path('witness');
  const file = lab.jobFile('long', {
    name: 'long',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        matrix: { i: Array.from({ length: 60 }, (_, at) => String(at)) },
        needs: { cpus: 1 },
        run: `echo {{i}} >> ${witness}; echo result {{i}} > $LABRUN_ARCHIVE/result; sleep 0.1`,
      },
    ],
  });
  await lab.ok('submit', file);
  for (const started of [8, 25]) {
    await until(`${started} jobs have started`, () => lines(witness).length >= started);
    const finished = await finishedJobs();
    await lab.head.end('SIGKILL');
    await lab.startHead();
    // What the head had said is finished before its death is finished after it.
    expect(await finishedJobs()).toEqual(expect.arrayContaining(finished));
  }
  await lab.ok('wait', 't/long');

  const status = await lab.json('status', 't/long');
  expect(status.counts).toMatchObject({ succeeded: 60, failed: 0, queued: 0 });
  expect(lines(witness).sort()).toEqual(Array.from({ length: 60 }, (_, at) => String(at)).sort());
  expect((await finishedJobs()).length).toBe(60);
  for (let i = 0; i < 60; i++) {
    expect(readFileSync(`${lab.archive}/t/long/j-i-${i}/result`, 'utf8')).toBe(`result ${i}\n`);
  }

  async function finishedJobs(): Promise<string[]> {
    const events = (await lab.ok('events', '--json')).trim().split('\n');
    const parsed = events.map((line) => JSON.parse(line));
    return parsed.filter((event) => event.kind === 'job-finished').map((event) => event.job);
  }
});

it('lets running jobs go on while the head is away, and takes their results when it is back', async () => {
  const lab = await ownLab();
  const done = lab.path('done');
  const file = lab.jobFile('alone', {
    name: 'alone',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        needs: { cpus: 1 },
        run: `echo begun; while [ ! -e ${done}.go ]; do sleep 0.05; done; echo ended; touch ${done}`,
      },
    ],
  });
  await lab.ok('submit', file);
  await lab.untilStatus('t/alone', 'the job runs', ({ counts }) => counts.running === 1);
  await lab.head.end('SIGKILL');
  lab.write('', { 'done.go': '' });
  await until('the job ends without a head', () => lines(done) !== undefined);
  await lab.startHead();
  await lab.ok('wait', 't/alone');
  expect(await lab.ok('logs', 't/alone/j')).toBe('begun\nended\n');
  expect(await lab.json('status', 't/alone')).toMatchObject({ jobs: [{ state: 'succeeded', attempt: 1 }] });
});

function lines(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}
