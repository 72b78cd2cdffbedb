import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Lab, ownLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

/** A job whose shell loop, session of its own and daemon each count into a file, until told to end. */
const counting = `
count() { i=0; while [ ! -e "$END" ]; do i=$((i+1)); echo $i >"$COUNTS/$1"; sleep 0.02; done; }
count loop & export -f count
setsid bash -c 'count session' &
( setsid bash -c '(count daemon &) ' & )
wait; echo done`;

it('what somebody at the desk pauses stands still, daemons too, and goes on where it was', async () => {
  const { lab, counts } = await countingLab();
  const job = await until('the job counts', async () => (counts().every((count) => count > 3) ? counts() : undefined));
  const paused = lab.must(await desk(lab, 'pause', '--for', '1h30m', '--reason', 'a talk', '--json'));
  expect(JSON.parse(paused.stdout)).toMatchObject({
    step: 'pause',
    cause: 'asked',
    reason: 'a talk',
    takesJobs: false,
  });
  const [before, after] = await overTime(counts);
  expect(after).toEqual(before);
  expect(before.every((count, at) => count >= (job[at] ?? 0))).toBe(true);
  await until('the head says so', async () => (await lab.json('status', 't/counts')).jobs[0].state === 'paused');
  lab.must(await desk(lab, 'resume'));
  await until('it counts on', () => counts().every((count, at) => count > (after[at] ?? 0)));
  await endAndCheck(lab);
}, 60_000);

it('a pause outlives its terminal and its agent, and ends by itself, with no head all the while', async () => {
  const { lab, counts } = await countingLab();
  await until('the job counts', () => counts().every((count) => count > 3));
  await lab.head.end('SIGKILL');
  lab.must(await desk(lab, 'pause', '--for', '8s'));
  const agent = lab.agents.get('n1');
  await agent?.end('SIGKILL');
  const [before] = await overTime(counts);
  const restarted = lab.launchAgent('n1');
  await restarted.line(/not connected to/);
  const status = await until('the desk answers', async () => {
    const answer = await desk(lab, 'desk', 'status', '--json');
    return answer.code === 0 ? JSON.parse(answer.stdout) : undefined;
  });
  expect(status).toMatchObject({ step: 'pause', headConnected: false, pauses: [{ by: expect.any(String) }] });
  expect(counts()).toEqual(before);
  await until('it counts on by itself', () => counts().every((count, at) => count > (before[at] ?? 0)), 15_000);
  await lab.startHead();
  await endAndCheck(lab);
}, 60_000);

it('time for which a job was stopped does not count against its limit, and is told', async () => {
  const lab = await ownLab({ agents: { n1: { cpus: 1 } } });
  const started = lab.path('started');
  await lab.ok('submit', batch(lab, 'limited', `touch ${started}; sleep 2; echo fine`, { timeLimit: '4s' }));
  await until('it runs', () => existsSync(started));
  lab.must(await desk(lab, 'pause', '--for', '6s'));
  await lab.ok('wait', 't/limited');
  expect(await lab.ok('logs', 't/limited/j')).toBe('fine\n');
}, 60_000);

it('a paused job can be cancelled, and the next waits for the end of the pause', async () => {
  const { lab, counts } = await countingLab();
  await until('the job counts', () => counts().every((count) => count > 3));
  lab.must(await desk(lab, 'pause'));
  await lab.ok('cancel', 't/counts');
  await lab.labrun('wait', 't/counts');
  expect((await lab.json('status', 't/counts')).jobs).toMatchObject([{ state: 'cancelled' }]);
  await lab.ok('submit', batch(lab, 'next', 'echo fine'));
  const [one, other] = await overTime(async () => (await lab.json('status', 't/next')).jobs[0].state);
  expect([one, other]).toEqual(['queued', 'queued']);
  lab.must(await desk(lab, 'resume'));
  await lab.ok('wait', 't/next');
}, 60_000);

async function countingLab(): Promise<{ lab: Lab; counts: () => readonly number[] }> {
  const lab = await ownLab({ agents: { n1: { cpus: 1 } } });
  const env = `export COUNTS=${lab.folder} END=${lab.path('end')}`;
  await lab.ok('submit', batch(lab, 'counts', `${env}${counting}`));
  const counts = () => ['loop', 'session', 'daemon'].map((name) => numberIn(lab.path(name)));
  return { lab, counts };
}

async function endAndCheck(lab: Lab): Promise<void> {
  writeFileSync(lab.path('end'), '');
  await lab.ok('wait', 't/counts');
  expect((await lab.json('status', 't/counts')).jobs).toMatchObject([{ state: 'succeeded', attempt: 1 }]);
}

/** What it is now, and what it is when anything that ran would have counted further by far. */
async function overTime<Value>(read: () => Value | Promise<Value>): Promise<[Value, Value]> {
  const before = await read();
  await new Promise((resolve) => setTimeout(resolve, 500));
  return [before, await read()];
}

function numberIn(path: string): number {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
}

function desk(lab: Lab, ...args: string[]) {
  return lab.labrun(...args, '--data', lab.agentFolder('n1'));
}

function batch(lab: Lab, name: string, run: string, more: Record<string, unknown> = {}): string {
  return lab.jobFile(name, { name, namespace: 't', jobs: [{ name: 'j', needs: { cpus: 1 }, run, ...more }] });
}
