import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { namesIn, WatchedFolder } from '../../../node-agent/presence/watched-folder.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

/** A folder that is looked at as its users do; `looks` holds what was seen each time. */
function watched(folder: string) {
  const clock = new ManualClock();
  const looks: (readonly string[])[] = [];
  const look = () => {
    entries.watch();
    looks.push(namesIn(folder));
  };
  const entries = new WatchedFolder(clock, folder, look);
  onTestFinished(() => entries.close());
  look();
  return { clock, looks, entries };
}

it('a folder is looked at again a moment after something has come, and only then', async () => {
  const folder = scratchFolder();
  const { clock, looks } = watched(folder);
  expect([looks, clock.waits]).toEqual([[[]], []]);
  writeFileSync(join(folder, 'event0'), '');
  await until('it is told', () => clock.waits.length > 0);
  expect(clock.waits).toEqual([1_000]);
  clock.advance(1_000);
  expect(looks).toEqual([[], ['event0']]);
});

it('a folder that is not there is looked for now and then, and watched once it is', async () => {
  const folder = join(scratchFolder(), 'later');
  const { clock, looks } = watched(folder);
  expect(clock.waits).toEqual([60_000]);
  mkdirSync(folder);
  clock.advance(60_000);
  expect([looks.length, clock.waits]).toEqual([2, []]);
  writeFileSync(join(folder, 'X0'), '');
  await until('it is told', () => clock.waits.length > 0);
});

it('what was seen to come is not put off by what cannot be seen', async () => {
  const folder = scratchFolder();
  const { clock, entries } = watched(folder);
  entries.lookAgain();
  expect(clock.waits).toEqual([60_000]);
  writeFileSync(join(folder, 'event0'), '');
  await until('it is told', () => clock.waits[0] === 1_000);
  entries.lookAgain();
  expect(clock.waits).toEqual([1_000]);
  entries.close();
  expect(clock.waits).toEqual([]);
});
