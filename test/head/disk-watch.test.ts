import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { openLog } from '../../base/log.ts';
import { DiskWatch } from '../../head/disk-watch.ts';
import { Notices } from '../../head/notices.ts';
import { ManualClock } from '../kit/manual-clock.ts';
import { itWith } from '../kit/real-parts.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { mountSmallDisk } from '../kit/small-disk.ts';
import { until } from '../kit/until.ts';

const mb = 2 ** 20;

/** Database and inputs on one disk, the archive on another; 2 MiB stay free on each. */
async function aWatch() {
  const folder = scratchFolder();
  const own = mountSmallDisk(join(folder, 'own'), 8 * mb);
  const archive = mountSmallDisk(join(folder, 'archive'), 8 * mb, { inodes: 300 });
  const clock = new ManualClock();
  const notices = new Notices(openLog('test', 'silent'), () => clock.nowMs());
  const watch = new DiskWatch({
    folders: { database: own.folder, inputs: own.folder, archive: archive.folder },
    reserveBytes: 2 * mb,
    clock,
    log: openLog('test', 'silent'),
    notices,
  });
  onTestFinished(async () => {
    await watch.close();
    own.remove();
    archive.remove();
  });
  await watch.start();
  const texts = () => notices.list().map(({ text }) => text);
  /** Resolves when a later look has found what is meant. */
  const look = async (what: string, isFound: () => boolean) => {
    await until('the next look is due', () => clock.waits.length > 0);
    clock.advance(5_000);
    await until(what, isFound);
  };
  return { own, archive, watch, clock, texts, look };
}

itWith('small disk')('names a disk once, with all that is on it, while less than its reserve is free', async () => {
  const { own, watch, texts, look } = await aWatch();
  expect(texts()).toEqual([]);
  own.fill(mb);
  await look('it is noticed', () => watch.problem('database') !== undefined);
  expect(texts()).toEqual([
    `the disk of the head's database, inputs (${own.folder}) is nearly full, 1.0 MiB left of the 2.0 MiB that are kept free: nothing is submitted, no inputs are uploaded; make room there, and everything goes on by itself`,
  ]);
  expect(watch.problem('inputs')).toMatchObject({ code: 'disk-full' });
  expect(watch.problem('archive')).toBeUndefined();
  own.free();
  await look('it is well again', () => watch.problem('database') === undefined);
  expect(texts()).toEqual([]);
});

itWith('small disk')('tells a disk that is read-only, and one without inodes, from one that is full', async () => {
  const { archive, watch, texts, look } = await aWatch();
  archive.setReadOnly(true);
  await look('it is noticed', () => watch.problem('archive') !== undefined);
  expect(texts()).toEqual([expect.stringContaining('is read-only: results wait at their nodes while jobs go on')]);
  archive.setReadOnly(false);
  archive.useUpInodes();
  await look('the other is noticed', () => texts().some((text) => text.includes('0 inodes left')));
  expect(texts()).toHaveLength(1);
});

itWith('small disk')('believes a write that failed where all seems well, for a while', async () => {
  const { watch, clock, texts, look } = await aWatch();
  watch.failed('archive', 'EDQUOT: quota exceeded');
  await until('it is told', () => texts().length > 0);
  expect(texts()[0]).toContain('does not take what is written (EDQUOT: quota exceeded)');
  expect(watch.problem('archive')).toBeDefined();
  clock.advance(15_000);
  await look('it is over', () => watch.problem('archive') === undefined);
  expect(texts()).toEqual([]);
});

itWith('small disk')('looks again at once after a write that failed during a look', async () => {
  const { watch } = await aWatch();
  watch.failed('archive', 'one quota');
  watch.failed('database', 'another quota');
  await until('both are noticed', () => watch.problem('archive') && watch.problem('database'));
});
