import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { openLog } from '../../../base/log.ts';
import { OwnDiskWatch } from '../../../node-agent/effects/own-disk.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { mountSmallDisk } from '../../kit/small-disk.ts';
import { until } from '../../kit/until.ts';

const mb = 2 ** 20;

async function aWatch() {
  const disk = mountSmallDisk(join(scratchFolder(), 'disk'), 16 * mb, { inodes: 1_000 });
  const clock = new ManualClock();
  const log = openLog('test', 'silent');
  const watch = new OwnDiskWatch({ folder: disk.folder, clock, log, reserveBytes: () => 4 * mb });
  const well: number[] = [];
  const short: number[] = [];
  watch.onWell(() => well.push(clock.nowMs()));
  watch.onShort((bytes) => short.push(bytes));
  onTestFinished(async () => {
    await watch.close();
    disk.remove();
  });
  await watch.start();
  const look = async (what: string, isSo: () => boolean) => {
    clock.advance(clock.waits[0] ?? 0);
    await until(what, isSo);
  };
  return { watch, disk, well, short, look };
}

itWith('small disk')('tells of a disk that is nearly full in the same words until there is clearly room', async () => {
  const { watch, disk, well, short, look } = await aWatch();
  expect([watch.trouble, well]).toEqual(['', []]);
  disk.fill(3 * mb);
  await look('it is noticed', () => watch.trouble !== '');
  const told = `its disk (${disk.folder}) is nearly full, 3.0 MiB left of the 4.0 MiB that are kept free`;
  expect(watch.trouble).toBe(told);
  expect(short).toEqual([2 * mb]);
  disk.fill(mb);
  await look('others are asked for more', () => short.at(-1) === 4 * mb);
  expect(watch.trouble).toBe(told);
  disk.free();
  disk.fill(4.5 * mb);
  await look('that is not enough', () => short.at(-1) === 0.5 * mb);
  expect([watch.trouble, well]).toEqual([told, []]);
  disk.free();
  await look('it is well', () => watch.trouble === '');
  expect(well).toHaveLength(1);
});

itWith('small disk')('tells of a disk that is read-only, has no inodes, or does not take the record', async () => {
  const { watch, disk, look } = await aWatch();
  disk.setReadOnly(true);
  await look('it is noticed', () => watch.trouble.endsWith('is read-only'));
  disk.setReadOnly(false);
  disk.useUpInodes();
  await look('the other is noticed', () => watch.trouble.endsWith('takes no more files, 0 inodes left'));
  disk.free();
  await look('it is well', () => watch.trouble === '');
  watch.recordWritten('Input/output error');
  await until('it is told at once', () => watch.trouble.endsWith('does not take what is written (Input/output error)'));
  expect(watch.isRecorded).toBe(false);
  watch.recordWritten('');
  await until('it is over', () => watch.trouble === '');
});
