import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openLog } from '../../../base/log.ts';
import { readUsers } from '../../../node-agent/presence/gpu-use.ts';
import { memoryPressure, readPressure } from '../../../node-agent/presence/memory-pressure.ts';
import { otherLoad } from '../../../node-agent/presence/other-load.ts';
import { type StrainName, StrainWatch } from '../../../node-agent/presence/strain.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { until } from '../../kit/until.ts';

it('memory is short when programs wait for it, and never where the kernel does not say', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'labrun-psi-')), 'memory');
  const text = (avg10: string) =>
    `some avg10=${avg10} avg60=3.00 avg300=1.00 total=1\nfull avg10=50.00 avg60=0 avg300=0 total=1\n`;
  expect(readPressure(text('12.34'))).toBe(12.34);
  expect(await memoryPressure(file)()).toBeUndefined();
  writeFileSync(file, text('9.99'));
  expect(await memoryPressure(file)()).toBeUndefined();
  writeFileSync(file, text('31.00'));
  expect(await memoryPressure(file)()).toBe('programs wait for memory 31 % of the time');
  expect(await memoryPressure()()).toBeUndefined(); // this machine, as long as the tests fit into it
});

it('load of others is what is busy besides us', async () => {
  const busy = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' });
  try {
    let ours: readonly number[] = [busy.pid ?? 0];
    const load = (limit: number) =>
      otherLoad({ monotonicMs: () => systemClock.monotonicMs(), ours: async () => ours, limitCores: () => limit });
    const all = load(0);
    const none = load(10_000);
    expect(await none()).toBeUndefined();
    await all();
    const withOurs = await until('some time has been measured', async () => coresIn(await all()));
    ours = [];
    await all();
    const asOther = await until('it counts as another', async () => {
      const cores = coresIn(await all());
      return cores !== undefined && cores > 0.2 ? cores : undefined;
    });
    expect(withOurs).toBeGreaterThanOrEqual(0);
    expect(asOther).toBeGreaterThan(0.2);
  } finally {
    busy.kill('SIGKILL');
  }
});

it('users of a GPU are read as nvidia-smi lists them', () => {
  expect(readUsers('1234, /usr/bin/blender\n 77, python3\n\nNo running processes found\n')).toEqual([
    { pid: 1234, name: 'blender' },
    { pid: 77, name: 'python3' },
  ]);
});

it('nothing is looked at while no job runs, and what was so is over when the last has ended', async () => {
  const clock = new ManualClock();
  let wanted: StrainName[] = [];
  let looks = 0;
  let changes = 0;
  const watch = new StrainWatch({
    ...{ clock, log: openLog('test', 'fatal') },
    probes: {
      memory: async () => (looks++ < 2 ? 'short' : undefined),
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
  wanted = [];
  clock.advance(5_000);
  expect(clock.waits).toEqual([]);
  await watch.close();
});

function coresIn(sentence: string | undefined): number | undefined {
  const cores = Number(/keep ([\d.]+) cores/.exec(sentence ?? '')?.[1]);
  return Number.isFinite(cores) ? cores : undefined;
}
