import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ownLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

it('a head without file descriptors fails what it cannot take, serves on, and loses nothing', async () => {
  const lab = await ownLab({ start: false });
  lab.limitDescriptors(256);
  await lab.startHead();
  await lab.startAgent('n1', { cpus: 2 });
  const go = lab.path('go');
  const run = `while [ ! -e ${go} ]; do sleep 0.05; done; for i in $(seq 40); do head -c 20K /dev/urandom >$LABRUN_ARCHIVE/$i; done`;
  await lab.ok('submit', lab.jobFile('before', batch('before', 6, run)));
  const flood = await connections(join(lab.path('head.sock')), 400);
  await until('the head has no descriptors left', () => openFiles(lab.head.pid) >= 250);
  lab.write('.', { go: '' });
  // Some of the flood is cut off at once: there may be room for a call, and there may be none.
  const answers = await Promise.all(Array.from({ length: 6 }, () => lab.labrun('status')));
  for (const { code, stderr } of answers) {
    expect([0, 4], stderr).toContain(code);
    if (code !== 0) expect(stderr).toMatch(/^Cannot /);
  }
  expect(lab.head.ended).toBe(false);
  for (const socket of flood) socket.destroy();
  await lab.ok('wait', 't/before');
  await lab.ok('submit', lab.jobFile('after', batch('after', 2, 'true')), '--wait');
  const { counts, jobs } = await lab.json('status', 't/before');
  expect(counts).toMatchObject({ succeeded: 6, failed: 0 });
  for (const { name } of jobs) expect(readdirSync(join(lab.archive, 't/before', name)).length).toBe(41);
  expect(lab.head.ended || lab.agents.get('n1')?.ended).toBe(false);
  await lab.head.stop(5_000);
  await lab.startHead();
  expect((await lab.json('status', 't/before')).counts).toMatchObject({ succeeded: 6 });
}, 150_000);

it('an agent with few file descriptors brings home jobs with hundreds of files, and starts others', async () => {
  const lab = await ownLab({ agents: {} });
  lab.limitDescriptors(64);
  const agent = await lab.startAgent('n1', { cpus: 4 });
  const run = `for d in $(seq 10); do mkdir $LABRUN_ARCHIVE/$d; for i in $(seq 40); do echo $d $i >$LABRUN_ARCHIVE/$d/$i; done; done`;
  await lab.ok('submit', lab.jobFile('many', batch('many', 6, run)), '--wait');
  const { jobs } = await lab.json('status', 't/many');
  expect(jobs.map(({ state }: { state: string }) => state)).toEqual(Array(6).fill('succeeded'));
  for (const { name } of jobs) expect(readFileSync(join(lab.archive, 't/many', name, '10/40'), 'utf8')).toBe('10 40\n');
  expect(agent.ended).toBe(false);
}, 60_000);

function batch(name: string, jobs: number, run: string): object {
  const i = Array.from({ length: jobs }, (_, at) => String(at));
  return { name, namespace: 't', jobs: [{ name: 'j', matrix: { i }, needs: { cpus: 1 }, run }] };
}

/** Connections that say nothing; those that are refused count, too. */
async function connections(path: string, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(path).on('error', () => undefined));
  onTestFinished(() => void sockets.map((socket) => socket.destroy()));
  await until('all are made or refused', () => sockets.every((socket) => !socket.connecting));
  return sockets;
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
