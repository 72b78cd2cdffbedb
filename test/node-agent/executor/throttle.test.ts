import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCpus } from '../../../node-agent/executor/cpu-list.ts';
import { threadsOfProcess } from '../../../node-agent/executor/thread-table.ts';
import { anExecutor, aRequest, aStarted, canTrackBy } from '../../kit/an-executor.ts';
import { countingScript, countsOn } from '../../kit/counting-job.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

/** So many loops that do nothing but need a core each. */
const burn = (loops: number) => `${'while :; do :; done & '.repeat(loops)} echo >burning; wait`;

describe.skipIf(!canTrackBy('cgroup-v1'))('a throttle by control groups', () => {
  it('gives a tree no more time than so many cores, whatever it starts, and all of it again', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, burn(4));
    await executor.start(request);
    await until('it burns', async () => (await executor.processes(request.home)).length >= 5);
    const facts = await executor.throttle(request.home, { cores: 0.2 });
    expect(facts).toEqual({ cores: 'cgroup', weight: 'cgroup', io: 'class', missed: [] });
    const pids = await executor.processes(request.home);
    const throttled = await coresOf(pids);
    await executor.throttle(request.home, undefined);
    const released = await coresOf(pids);
    await executor.kill(request.home, 0);
    expect(throttled).toBeLessThan(0.35);
    expect(released).toBeGreaterThan(throttled * 1.5);
  });

  it('makes all trees together light against other programs while all are throttled', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const requests = [aRequest(root, 'sleep 100'), aRequest(root, 'sleep 100')];
    for (const request of requests) await executor.start(request);
    const [one = '', other = ''] = requests.map(({ home }) => home);
    const group = cpuGroupAbove((await executor.processes(one))[0] ?? 0);
    const weight = () => readFileSync(join(group, 'cpu.shares'), 'utf8').trim();
    const full = weight();
    expect(Number(full)).toBe(1024 * cpus().length);
    await executor.throttle(one, { cores: 1 });
    expect(weight()).toBe(full);
    await executor.throttle(other, { cores: 1 });
    expect(Number(weight())).toBeLessThan(10);
    await executor.throttle(one, undefined);
    expect(weight()).toBe(full);
    await executor.throttle(one, { cores: 2 });
    const later = aRequest(root, 'sleep 100');
    await executor.start(later);
    expect(weight()).toBe(full);
    for (const { home } of [...requests, later]) await executor.kill(home, 0);
    expect(weight()).toBe(full);
  });

  it('is not passed on to the next tree', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const first = aRequest(root, 'sleep 100');
    await executor.start(first);
    await executor.throttle(first.home, { cores: 0.1 });
    await executor.kill(first.home, 0);
    const next = aRequest(root, 'cat /proc/self/cgroup');
    await (await executor.start(next)).ended;
    const group = `/sys/fs/cgroup/cpu${/:cpu:(.*)/.exec(readFileSync(join(next.home, 'log'), 'utf8'))?.[1]}`;
    expect(readFileSync(join(group, 'cpu.cfs_quota_us'), 'utf8').trim()).toBe('-1');
  });
});

describe('a throttle without control groups', () => {
  it('holds all threads, and what they start, to one core, the least weight and the idle class, and lets go', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, 'subreaper', false);
    const threads = `perl -e 'exec "sleep 100"' & nice -n 5 taskset -c 0 sleep 100 &`;
    const request = aRequest(root, `${threads} ${countingScript()}`);
    await executor.start(request);
    await countsOn(request.home);
    const picky = await until('one has its own ideas', async () =>
      (await executor.processes(request.home)).find((pid) => {
        const [thread] = threadsOfProcess(pid); // its loops start processes all the time: one may be gone
        return thread?.nice === 5 && thread.cpus === '0';
      }),
    );
    const facts = await executor.throttle(request.home, { cores: 1 });
    expect(facts).toEqual({ cores: 'affinity', weight: 'nice', io: 'class', missed: [] });
    await countsOn(request.home); // its loops start processes all the time
    for (const pid of await executor.processes(request.home)) {
      for (const thread of threadsOfProcess(pid)) {
        expect(parseCpus(thread.cpus)).toEqual([cpus().length - 1]);
        expect(thread.nice).toBe(19);
      }
    }
    expect(ioClassOf(picky)).toBe('idle');
    expect(autogroupOf(picky)).toMatch(/nice 19|^$/);
    await executor.throttle(request.home, undefined);
    expect(threadsOfProcess(picky)[0]).toMatchObject({ nice: 5, cpus: '0' });
    expect(ioClassOf(picky)).not.toBe('idle');
    expect(autogroupOf(picky)).toMatch(/nice 0|^$/);
    for (const pid of await executor.processes(request.home)) {
      if (pid === picky) continue;
      for (const thread of threadsOfProcess(pid)) expect(thread).toMatchObject({ nice: 0, cpus: allCpus() });
    }
    await executor.kill(request.home, 0);
  });

  it.skipIf(cpus().length < 2)('lets all throttled trees share as many cores as they may have together', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, 'session', false);
    const trees = [await aStarted(executor, 'exec sleep 100', root), await aStarted(executor, 'exec sleep 100', root)];
    const held = async () =>
      Promise.all(
        trees.map(async ({ home }) => {
          const [pid = 0] = await executor.processes(home);
          return parseCpus(threadsOfProcess(pid)[0]?.cpus ?? '').length;
        }),
      );
    const [one = '', other = ''] = trees.map(({ home }) => home);
    await executor.throttle(one, { cores: 0.5 });
    await executor.throttle(other, { cores: 0.5 });
    expect(await held()).toEqual([1, 1]);
    await executor.throttle(other, { cores: 1 });
    expect(await held()).toEqual([2, 2]);
    await executor.throttle(one, { cores: 0.2 });
    await executor.throttle(other, { cores: 0.2 });
    expect(await held()).toEqual([1, 1]);
    for (const home of [one, other]) await executor.throttle(home, undefined);
    expect(await held()).toEqual([cpus().length, cpus().length]);
  });
});

/** How many cores these processes take, over a while: their time is told in hundredths of a second. */
async function coresOf(pids: readonly number[]): Promise<number> {
  const measured = await Promise.all(
    [0, 1_500].map(async (afterMs) => {
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      return { ms: performance.now(), ticks: pids.reduce((sum, pid) => sum + ticksOf(pid), 0) };
    }),
  );
  const [from = { ms: 0, ticks: 0 }, to = { ms: 0, ticks: 0 }] = measured;
  return ((to.ticks - from.ticks) * 10) / (to.ms - from.ms);
}

/** Processor time of a process in hundredths of a second. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function cpuGroupAbove(pid: number): string {
  const path = /:cpu(?:,cpuacct)?:(.*)\/[^/]+/.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  return `/sys/fs/cgroup/cpu${path}`;
}

function ioClassOf(pid: number): string {
  return String(spawnSync('ionice', ['-p', String(pid)]).stdout).trim();
}

function autogroupOf(pid: number): string {
  return readdirSync(`/proc/${pid}`).includes('autogroup') ? readFileSync(`/proc/${pid}/autogroup`, 'utf8').trim() : '';
}

function allCpus(): string {
  return threadsOfProcess(process.pid)[0]?.cpus ?? '';
}
