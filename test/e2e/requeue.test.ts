import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

const where = (name: string) => ({ cpus: 1, capabilities: { where: { env: { WHERE: name } } } });
const lab = sharedLab({ agents: { n1: where('n1'), n2: where('n2') } });

it('moves a running job to another node, kills what ran of it, and keeps no half of its results as the job', async () => {
  const [witness, go] = [lab().path('witness'), lab().path('go')];
  const file = lab().jobFile('moved', {
    name: 'moved',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        needs: { capabilities: ['where'], cpus: 1 },
        run: `echo $WHERE >> ${witness}; echo $WHERE > $LABRUN_ARCHIVE/where; while [ ! -e ${go} ]; do sleep 0.05; done`,
      },
    ],
  });
  await lab().ok('submit', file);
  const running = () => lab().untilStatus('t/moved', 'it runs', ({ counts }) => counts.running === 1);
  // A job is told as running when its processes are there; to be requeued it must have come to its first line.
  const hasBegun = (times: number) =>
    until('it has begun', () => existsSync(witness) && readFileSync(witness, 'utf8').split('\n').length > times);
  const first = (await running()).jobs[0].node;
  await hasBegun(1);
  expect((await lab().labrun('requeue', 't/moved', '--not-on', 'nowhere')).code).toBe(3);
  expect(await lab().ok('requeue', 't/moved/j', '--not-on', first)).toBe(`1 job kept from ${first}\n`);
  await lab().untilStatus(
    't/moved',
    'it runs again',
    ({ counts, jobs }) => counts.running === 1 && jobs[0].attempt === 2,
  );
  const second = first === 'n1' ? 'n2' : 'n1';
  expect(await lab().ok('why', 't/moved/j')).toMatch(new RegExp(`${first} +no +is kept from it by a requeue`));

  // Without a node it may come back to where it was.
  await hasBegun(2);
  expect(await lab().ok('requeue', 't/moved/j')).toBe('1 job requeued\n');
  await lab().untilStatus(
    't/moved',
    'it runs a third time',
    ({ counts, jobs }) => counts.running === 1 && jobs[0].attempt === 3,
  );
  await hasBegun(3);
  writeFileSync(go, '');
  await lab().ok('wait', 't/moved');
  expect(readFileSync(witness, 'utf8')).toBe(`${first}\n${second}\n${second}\n`);
  expect(await lab().json('status', 't/moved')).toMatchObject({
    jobs: [{ state: 'succeeded', node: second, attempt: 3 }],
  });
  expect(readFileSync(`${lab().archive}/t/moved/j/where`, 'utf8')).toBe(`${second}\n`);
  await until('nothing of it is left', () =>
    lab()
      .strays()
      .every(({ command }) => !command.includes('sleep')),
  );
}, 60_000);
