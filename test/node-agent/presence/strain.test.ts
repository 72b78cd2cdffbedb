import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openLog } from '../../../base/log.ts';
import { readPids } from '../../../node-agent/presence/gpu-use.ts';
import { memoryPressure, readPressure } from '../../../node-agent/presence/memory-pressure.ts';
import { otherLoad } from '../../../node-agent/presence/other-load.ts';
import { type StrainName, StrainWatch } from '../../../node-agent/presence/strain.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

it('memory is short when programs wait for it, and never where the kernel does not say', async () => {
  const file = join(scratchFolder(), 'memory');
  const text = (avg10: string) =>
    `some avg10=${avg10} avg60=3.00 avg300=1.00 total=1\nfull avg10=50.00 avg60=0 avg300=0 total=1\n`;
  expect(readPressure(text('12.34'))).toBe(12.34);
  expect(await memoryPressure(file)()).toBeUndefined();
  writeFileSync(file, text('9.99'));
  expect(await memoryPressure(file)()).toBeUndefined();
  writeFileSync(file, text('31.00'));
  expect(await memoryPressure(file)()).toBe('programs wait for memory');
});

it('load of others is what is busy besides us', async () => {
  const busy = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' });
  try {
    let all = false;
    const ours = async () =>
      all
        ? readdirSync('/proc')
            .filter((name) => /^\d+$/.test(name))
            .map(Number)
        : [];
    const monotonicMs = () => systemClock.monotonicMs();
    const load = otherLoad({ monotonicMs, ours, limitCores: () => 0.4 });
    expect(await otherLoad({ monotonicMs, ours, limitCores: () => 10_000 })()).toBeUndefined();
    expect(await until('it counts as another', load)).toBe('other programs keep 0.4 cores or more busy');
    // All that runs here is ours: nobody else is left to be busy.
    all = true;
    await load();
    await until('it counts as ours', async () => (await load()) === undefined);
  } finally {
    busy.kill('SIGKILL');
  }
});

it('a job that has ended since the last look is no load of others', async () => {
  const folder = scratchFolder();
  const proc = (pid: number, parent: number, ticks: number, ofEnded = 0) => {
    mkdirSync(join(folder, String(pid)), { recursive: true });
    const fields = ['S', parent, ...Array.from({ length: 9 }, () => 0), ticks, 0, ofEnded, 0];
    writeFileSync(join(folder, String(pid), 'stat'), `${pid} (a (job)) ${fields.join(' ')}`);
  };
  let [nowMs, allTicks, jobs] = [0, 0, [30, 40]];
  /** Five seconds on; processors of this machine worked for so many in all. */
  const look = (worked: number) => {
    nowMs += 5_000;
    allTicks += worked;
    writeFileSync(join(folder, 'stat'), `cpu ${allTicks} 0 0 0 0 0 0\n`);
    return load();
  };
  const load = otherLoad({ monotonicMs: () => nowMs, ours: async () => jobs, limitCores: () => 1, folder });
  proc(10, 1, 5); // the agent
  proc(20, 10, 0); // a supervisor
  proc(30, 20, 6_000); // its job, which keeps four cores busy
  proc(25, 10, 0);
  proc(40, 25, 0);
  expect(await look(0)).toBeUndefined();
  proc(30, 20, 8_000);
  expect(await look(2_000)).toBeUndefined();
  rmSync(join(folder, '30'), { recursive: true });
  proc(20, 10, 0, 9_600);
  jobs = [40];
  expect(await look(1_600)).toBeUndefined();
  // The same with its supervisor, which leaves all of it with the agent.
  jobs = [];
  for (const pid of ['40', '25']) rmSync(join(folder, pid), { recursive: true });
  proc(10, 1, 5, 2_000);
  expect(await look(2_000)).toBeUndefined();
  // Nobody of ours is left.
  expect(await look(2_000)).toBe('other programs keep 1 cores or more busy');
});

it('users of a GPU are read as nvidia-smi lists them', () => {
  expect(readPids('1234\n 77\n\nNo running processes found\n')).toEqual([1234, 77]);
});

it('what takes long to look at is looked at seldom, so that it costs a thousandth of a core, and at least once a minute', async () => {
  const clock = new ManualClock();
  const looks = { memory: 0, load: 0, gpu: 0 };
  const took = { memory: 0.5, load: 20, gpu: 900 };
  const probe = (name: StrainName) => async () => {
    looks[name] += 1;
    clock.advance(took[name]);
    return undefined;
  };
  const watch = new StrainWatch({
    ...{ clock, log: openLog('test', 'fatal') },
    probes: { memory: probe('memory'), load: probe('load'), gpu: probe('gpu') },
    wanted: () => new Set(['memory', 'load', 'gpu'] as const),
    changed: () => undefined,
  });
  watch.look();
  for (let n = 0; n < 24; n++) {
    await until('it has looked', () => clock.waits.length > 0);
    clock.advance(5_000);
  }
  await until('it has looked', () => clock.waits.length > 0);
  expect(looks).toEqual({ memory: 25, load: 7, gpu: 3 });
  await watch.close();
});

it('nothing is looked at while no job runs, and what was so is over when the last has ended', async () => {
  const clock = new ManualClock();
  let wanted: StrainName[] = [];
  let changes = 0;
  const watch = new StrainWatch({
    ...{ clock, log: openLog('test', 'fatal') },
    probes: {
      memory: async () => 'short',
      load: async () => undefined,
      gpu: async () => {
        throw new Error('the driver hangs');
      },
    },
    wanted: () => new Set(wanted),
    changed: () => void changes++,
  });
  watch.look();
  expect(clock.waits).toEqual([]);
  wanted = ['memory', 'gpu'];
  watch.look();
  await until('it has looked', () => changes === 1);
  expect(watch.seen('memory')).toEqual({ lastMs: Number.POSITIVE_INFINITY, why: 'short' });
  expect(watch.seen('gpu').lastMs).toBeUndefined();
  const sinceMs = clock.nowMs();
  clock.advance(5_000);
  await until('it has looked again', () => clock.waits.length > 0);
  expect(watch.memoryShortSinceMs).toBe(sinceMs);
  wanted = ['gpu'];
  clock.advance(5_000);
  await until('it has looked once more', () => clock.waits.length > 0);
  expect(watch.memoryShortSinceMs).toBeUndefined(); // nobody asks since when any more
  expect(watch.seen('memory').lastMs).toBe(clock.nowMs()); // nor whether it still is
  wanted = [];
  clock.advance(5_000);
  expect(clock.waits).toEqual([]);
  await watch.close();
});
