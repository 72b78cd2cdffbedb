import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Lab, ownLab } from '../kit/lab.ts';
import { isAlive } from '../kit/proc.ts';
import { until } from '../kit/until.ts';
import { valveProxy } from '../kit/valve-proxy.ts';

// A cancel in every state of a job, with real processes. That it races with an end is in cancel-race.test.ts.

/** Between SIGTERM and SIGKILL here, in milliseconds. */
const graceMs = 1_500;

it('ends all processes of a running job, with a grace for those that want one, and keeps what it wrote', async () => {
  const lab = await gracefulLab();
  const stubborn = "trap '' TERM; while :; do sleep 0.1; done";
  const escaped = (shell: string) =>
    `env -i setsid ${shell} -c '(${shell} -c "echo \\$\\$ >> ${lab.path('pids')}; ${stubborn.replaceAll("'", '')}" &)'`;
  const file = lab.jobFile('job', {
    ...{ name: 'job', namespace: 't' },
    jobs: [
      {
        ...{ name: 'j', needs: { cpus: 1 }, archive: ['kept.txt'] },
        run: [
          'echo before > kept.txt',
          'echo early > $LABRUN_ARCHIVE/early',
          `${escaped('/bin/sh')}; ${escaped('/bin/bash')}`,
          `(${stubborn}) & echo $! >> ${lab.path('pids')}`,
          "trap 'echo on TERM >> kept.txt; exit 7' TERM",
          `echo $$ >> ${lab.path('pids')}; while :; do sleep 0.05; done`,
        ].join('\n'),
      },
    ],
  });
  await lab.ok('submit', file);
  const pids = await until('all four run', () => numbersIn(lab.path('pids'), 4));
  const toldAt = performance.now();
  expect(await lab.ok('cancel', 't/job')).toBe('1 job cancelled, 1 of them once it has stopped\n');
  await lab.untilStatus('t/job', 'it is being stopped', ({ jobs }) => jobs[0].state === 'cancelling');
  const { jobs } = await lab.untilStatus('t/job', 'it is cancelled', ({ counts }) => counts.cancelled === 1);
  expect(performance.now() - toldAt).toBeGreaterThanOrEqual(graceMs);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(jobs[0]).toMatchObject({ state: 'cancelled', attempt: 1 });
  expect(await metaOf(lab, 't/job/j')).toMatchObject({ state: 'cancelled', attempt: 1, node: 'n1' });
  const kept = (path: string) => readFileSync(join(lab.archive, 't/job/j', path), 'utf8');
  expect([kept('kept.txt'), kept('early')]).toEqual(['before\non TERM\n', 'early\n']);
  await lab.ok('pull', 't/job', '--to', lab.path('pulled'));
  expect(readFileSync(lab.path('pulled/job/jobs.csv'), 'utf8')).toMatch(/^j,cancelled,/m);
  expect(await lab.ok('results', 't/job', '--csv')).toMatch(/^j,cancelled/m);
  expect(await lab.ok('cancel', 't/job')).toBe('0 jobs of 1 selected cancelled\n');
  await nothingIsLeft(lab);
}, 60_000);

it('stops a build that nobody else waits for, and goes on with one that somebody does', async () => {
  const lab = await gracefulLab({ cpus: 4 });
  const [witness, go] = [lab.path('witness'), lab.path('go')];
  const needs = { cpus: 1 };
  const build = { run: `echo $$ >> ${witness}; until [ -e ${go} ]; do sleep 0.05; done; echo made > made`, needs };
  for (const name of ['one', 'two']) {
    const spec = { name, namespace: 't', build, jobs: [{ name: 'j', needs, run: 'cat made' }] };
    await lab.ok('submit', lab.jobFile(name, spec));
    await lab.untilStatus(`t/${name}`, 'it waits for the build', ({ jobs }) => jobs[0].state === 'building');
  }
  const shared = (await until('the build runs', () => numbersIn(witness, 1)))[0] ?? 0;
  await lab.ok('cancel', 't/one');
  await lab.untilStatus('t/one', 'one is cancelled', ({ counts }) => counts.cancelled === 1);
  expect(isAlive(shared)).toBe(true);
  await lab.ok('cancel', 't/two');
  await lab.untilStatus('t/two', 'two is cancelled', ({ counts }) => counts.cancelled === 1);
  await until('the build is stopped', () => !isAlive(shared));
  await until('its folder is gone', () => readdirSync(join(lab.agentFolder('n1'), 'builds')).length === 0);

  // Nothing of that keeps the same build from being made later.
  await lab.ok('retry', 't/two/j');
  await until('it is built again', () => numbersIn(witness, 2));
  writeFileSync(go, '');
  await lab.ok('wait', 't/two');
  expect(readFileSync(join(lab.archive, 't/two/j/.labrun/log'), 'utf8')).toBe('made\n');
  await nothingIsLeft(lab);
}, 60_000);

it('ends a job whose input is on its way, and gets that input again when it is wanted', async () => {
  const lab = await gracefulLab({ through: true });
  const file = lab.jobFile(
    'staging',
    { name: 'staging', namespace: 't', jobs: [{ name: 'j', files: ['big.dat'], run: 'wc -c < big.dat' }] },
    { 'big.dat': 'x'.repeat(8 * 2 ** 20) },
  );
  await lab.ok('submit', file);
  await until('the input is on its way', () => lab.valve.heldBytes() > 0);
  await lab.untilStatus('t/staging', 'it is staging', ({ jobs }) => jobs[0].state === 'staging');
  await lab.ok('cancel', 't/staging');
  lab.valve.open();
  const { jobs } = await lab.untilStatus('t/staging', 'it is cancelled', ({ counts }) => counts.cancelled === 1);
  expect(jobs[0]).toMatchObject({ state: 'cancelled', startedAt: null });
  expect(await metaOf(lab, 't/staging/j')).toMatchObject({ state: 'cancelled', startedAt: null });
  await lab.ok('retry', 't/staging/j');
  await lab.ok('wait', 't/staging');
  expect(readFileSync(join(lab.archive, 't/staging/j/.labrun/log'), 'utf8').trim()).toBe(String(8 * 2 ** 20));
  await nothingIsLeft(lab);
}, 60_000);

it('leaves nothing of a build whose inputs are on their way when the last job that wants it is cancelled', async () => {
  const lab = await gracefulLab({ through: true });
  const build = { run: 'wc -c < big.dat', files: ['big.dat'] };
  const file = lab.jobFile(
    'inputs',
    { name: 'inputs', namespace: 't', build, jobs: [{ name: 'j', run: 'true' }] },
    { 'big.dat': 'x'.repeat(8 * 2 ** 20) },
  );
  await lab.ok('submit', file);
  await until('the input is on its way', () => lab.valve.heldBytes() > 0);
  await lab.ok('cancel', 't/inputs');
  lab.valve.open();
  await lab.untilStatus('t/inputs', 'it is cancelled', ({ counts }) => counts.cancelled === 1);
  await until('no build is left', () => readdirSync(join(lab.agentFolder('n1'), 'builds')).length === 0);
  await nothingIsLeft(lab);
}, 60_000);

it('leaves a job its outcome whose processes have ended already, says so, and tries none again', async () => {
  const lab = await gracefulLab({ through: true, cpus: 2 });
  const big = 'head -c 8000000 /dev/urandom > $LABRUN_ARCHIVE/big';
  const file = lab.jobFile('over', {
    ...{ name: 'over', namespace: 't' },
    jobs: [
      { name: 'good', needs: { cpus: 1 }, run: big },
      { name: 'bad', needs: { cpus: 1 }, run: `${big}; exit 3`, retries: 5 },
    ],
  });
  await lab.ok('submit', file);
  const sending = ({ jobs }: { jobs: { state: string }[] }) => jobs.every(({ state }) => state === 'archiving');
  await lab.untilStatus('t/over', 'both send what they left', sending);
  expect(await lab.ok('cancel', 't/over')).toBe('0 jobs cancelled; 2 had ended already and keep their outcome\n');
  lab.valve.open();
  const { jobs } = await lab.untilStatus('t/over', 'both have ended', ({ state }) => state === 'failed');
  expect(jobs).toMatchObject([
    { name: 'good', state: 'succeeded', attempt: 1 },
    { name: 'bad', state: 'failed', reason: 'exit', attempt: 1 },
  ]);
  expect(await metaOf(lab, 't/over/good')).toMatchObject({ state: 'succeeded' });
  await nothingIsLeft(lab);
}, 60_000);

it('takes a cancel for a node that is away, shows it, and ends the job when the node is back', async () => {
  const lab = await gracefulLab();
  const file = lab.jobFile('away', {
    ...{ name: 'away', namespace: 't' },
    jobs: [{ name: 'j', run: `echo half > $LABRUN_ARCHIVE/half; echo $$ >> ${lab.path('pid')}; exec sleep 1000` }],
  });
  await lab.ok('submit', file);
  const [job = 0] = await until('the job runs', () => numbersIn(lab.path('pid'), 1));
  await lab.agents.get('n1')?.end('SIGKILL');
  await lab.ok('cancel', 't/away');
  expect(await lab.json('status', 't/away')).toMatchObject({ jobs: [{ state: 'cancelling' }] });
  // Said again: nothing is told twice, and nothing is forgotten by a head that starts again meanwhile.
  await lab.head.end('SIGKILL');
  await lab.startHead();
  await lab.ok('cancel', 't/away');
  expect(isAlive(job)).toBe(true);
  await lab.startAgent('n1');
  await lab.untilStatus('t/away', 'it is cancelled', ({ counts }) => counts.cancelled === 1);
  expect(isAlive(job)).toBe(false);
  expect(await metaOf(lab, 't/away/j')).toMatchObject({ state: 'cancelled' });
  expect(readFileSync(join(lab.archive, 't/away/j/half'), 'utf8')).toBe('half\n');
  await nothingIsLeft(lab);
}, 60_000);

it('ends what waits: on its node, in the queue, and held', async () => {
  const lab = await gracefulLab({ cpus: 1 });
  const needs = { cpus: 1 };
  const names = ['runs', 'next', 'queued', 'held'];
  const file = lab.jobFile('waiting', {
    ...{ name: 'waiting', namespace: 't' },
    jobs: names.map((name) => ({ name, needs, run: name === 'runs' ? 'exec sleep 1000' : `touch ${lab.path(name)}` })),
  });
  await lab.ok('submit', file);
  await lab.ok('hold', 't/waiting/held');
  await lab.untilStatus('t/waiting', 'one of each', ({ counts }) =>
    ['running', 'assigned', 'queued', 'held'].every((state) => counts[state] === 1),
  );
  expect(await lab.ok('cancel', 't/waiting')).toBe('4 jobs cancelled, 2 of them once they have stopped\n');
  const { state } = await lab.untilStatus('t/waiting', 'all are', ({ counts }) => counts.cancelled === names.length);
  expect(state).toBe('cancelled');
  expect(names.filter((name) => existsSync(lab.path(name)))).toEqual([]);
  await nothingIsLeft(lab);
}, 60_000);

it('makes an end of a job that was being stopped to wait again', async () => {
  const lab = await gracefulLab();
  const run = `echo $$ >> ${lab.path('pid')}; trap '' TERM; while :; do sleep 0.1; done`;
  await lab.ok('submit', lab.jobFile('again', { name: 'again', namespace: 't', jobs: [{ name: 'j', run }] }));
  await until('the job runs', () => numbersIn(lab.path('pid'), 1));
  await lab.ok('requeue', 't/again/j');
  await lab.ok('cancel', 't/again/j');
  await lab.untilStatus('t/again', 'it is cancelled', ({ counts }) => counts.cancelled === 1);
  expect(numbersIn(lab.path('pid'), 1)).toHaveLength(1);
  await nothingIsLeft(lab);
}, 60_000);

interface GracefulLab extends Lab {
  readonly valve: Awaited<ReturnType<typeof valveProxy>>;
}

/** A lab whose head gives jobs a short grace; its agent speaks to the head `through` a valve if asked to. */
async function gracefulLab(options: { cpus?: number; through?: boolean } = {}): Promise<GracefulLab> {
  const lab = await ownLab({ start: false });
  await lab.ok('head', 'init', '--data', lab.path('head'));
  appendFileSync(lab.path('head', 'head.yaml'), `cancelGrace: ${graceMs}ms\n`);
  await lab.startHead();
  const valve = await valveProxy(lab.path('valve.sock'), lab.path('head.sock'));
  const address = options.through ? valve.address : lab.address;
  await lab.launchAgent('n1', { cpus: options.cpus ?? 2 }, address).line(/: connected to/);
  return Object.assign(lab, { valve });
}

/** The lines of a file, when it has at least so many, each a number. */
function numbersIn(path: string, atLeast: number): number[] | undefined {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  return lines.length >= atLeast && lines.every((line) => /^\d+$/.test(line)) ? lines.map(Number) : undefined;
}

/** As it is when the job has its place in the archive, which comes after its end. */
function metaOf(lab: Lab, job: string): Promise<object> {
  const path = join(lab.archive, job, '.labrun/meta.json');
  return until(`${job} is in the archive`, () => existsSync(path) && JSON.parse(readFileSync(path, 'utf8')));
}

/** No process of a job, no scratch of an attempt, nothing staged on the head. */
async function nothingIsLeft(lab: Lab): Promise<void> {
  let left = '';
  await until(
    () => `nothing is left: ${left}`,
    () => {
      const jobs = lab.strays().filter(({ command }) => !command.includes('/supervisors/'));
      // Spare homes are empty, and kept for the next jobs.
      const homes = readdirSync(join(lab.agentFolder('n1'), 'attempts')).filter((name) => !name.startsWith('spare-'));
      const staged = readdirSync(join(lab.archive, '.staging')).filter((name) => name !== 'trash');
      left = JSON.stringify([jobs, homes, staged]);
      return left === '[[],[],[]]';
    },
  );
}
