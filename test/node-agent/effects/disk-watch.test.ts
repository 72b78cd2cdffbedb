import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../base/clock.ts';
import { systemClock } from '../../../base/clock.ts';
import { DiskWatch } from '../../../node-agent/effects/disk-watch.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

/** A watch whose timers fire when the test says so, on a disk with so much left. */
function aWatch(freeBytes: number, reserveBytes = 0) {
  const timers: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    setTimer(_, task) {
      timers.push(task);
      return { cancel: () => timers.splice(timers.indexOf(task), 1) };
    },
  };
  const disk: { freeBytes: number; trouble?: Error } = { freeBytes };
  const watch = new DiskWatch({
    clock,
    async freeBytes() {
      if (disk.trouble) throw disk.trouble;
      return disk.freeBytes;
    },
    reserveBytes: () => reserveBytes,
    troubledLately: () => false,
  });
  /** Resolves when a look is over: the next one has been set. */
  const look = async () => {
    for (const task of timers.splice(0)) task();
    await until('a look at the disk is over', () => timers.length > 0);
  };
  return { watch, disk, look };
}

function aHome(root: string, name: string, kilobytes: number): string {
  const home = join(root, name);
  mkdirSync(join(home, 'work'), { recursive: true });
  writeFileSync(join(home, 'work', 'data'), Buffer.alloc(kilobytes * 1024, 1));
  return home;
}

const mega = 2 ** 20;

describe('the watch of the disk', () => {
  it('tells the attempt that wrote more than it asked for, once, and no other', async () => {
    const root = scratchFolder();
    const { watch, look } = aWatch(2 ** 40);
    const told: string[] = [];
    watch.watch(aHome(root, 'large', 2_000), mega, () => told.push('large'));
    watch.watch(aHome(root, 'small', 500), mega, () => told.push('small'));
    watch.watch(aHome(root, 'free', 3_000), 0, () => told.push('free'));
    await look();
    await look();
    expect(told).toEqual(['large']);
    await watch.close();
  });

  it('goes on looking when no descriptor was left for a look', async () => {
    const { watch, disk, look } = aWatch(2 ** 40);
    const told: string[] = [];
    const root = scratchFolder();
    watch.watch(aHome(root, 'large', 2_000), mega, () => told.push('large'));
    watch.watch(aHome(root, 'small', 500), mega, () => told.push('small'));
    disk.trouble = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    await look();
    expect(told).toEqual([]);
    delete disk.trouble;
    await look();
    expect(told).toEqual(['large']);
    await watch.close();
  });

  it('tells the one that wrote most, and more than the reserve, when the disk is nearly full, one at a look', async () => {
    const root = scratchFolder();
    const { watch, look } = aWatch(5 * mega, 10 * mega);
    const told: string[] = [];
    for (const [name, kilobytes] of [
      ['a', 200],
      ['b', 12_000],
      ['c', 11_000],
    ] as const) {
      watch.watch(aHome(root, name, kilobytes), 0, () => told.push(name));
    }
    await look();
    expect(told).toEqual(['b']);
    await look();
    expect(told).toEqual(['b', 'c']);
    // What is left took less than the reserve: the disk is full of other things.
    await look();
    expect(told).toEqual(['b', 'c']);
    await watch.close();
  });

  it('says of a failed job whether the disk was the reason, and nothing of one that did well', async () => {
    const root = scratchFolder();
    const home = aHome(root, 'a', 1_024);
    const failed = { kind: 'exited', exitCode: 1, ranMs: 5 } as const;
    const { watch, disk } = aWatch(2 ** 40);
    expect(await watch.explain(home, 0, failed)).toEqual(failed);
    expect(await watch.explain(home, 2 * mega, failed)).toEqual(failed);
    expect(await watch.explain(home, mega, failed)).toEqual({ ...failed, refused: 'disk' });
    const cut = { kind: 'signalled', signal: 25, ranMs: 5 } as const;
    expect(await watch.explain(home, 2 * mega, cut)).toEqual({ ...cut, refused: 'disk' });
    disk.freeBytes = 0;
    expect(await watch.explain(home, 0, failed)).toEqual({ ...failed, refused: 'disk' });
    const well = { kind: 'exited', exitCode: 0, ranMs: 5 } as const;
    expect(await watch.explain(home, mega, well)).toEqual(well);
  });

  it('takes a job that failed on a full disk for lost when it had kept to what it may take', async () => {
    const home = aHome(scratchFolder(), 'a', 1_024);
    const { watch } = aWatch(0, 2 * mega);
    const failed = { kind: 'exited', exitCode: 1, ranMs: 5 } as const;
    const lost = { kind: 'lost', message: 'the disk of the node was full of other things' };
    expect(await watch.explain(home, 0, failed)).toEqual(lost);
    expect(await watch.explain(home, 3 * mega, failed)).toEqual(lost);
    expect(await watch.explain(home, mega, failed)).toEqual({ ...failed, refused: 'disk' });
  });
});
