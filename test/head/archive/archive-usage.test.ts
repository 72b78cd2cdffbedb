import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ArchiveUsage } from '../../../head/archive/archive-usage.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

let folder: string;
let clock: ManualClock;
let usage: ArchiveUsage;
let told: [namespace: string, full: string][];
const warnings: object[] = [];

beforeEach(async () => {
  folder = scratchFolder();
  clock = new ManualClock();
  told = [];
  usage = new ArchiveUsage({
    clock,
    log: { debug() {}, info() {}, warn: (facts) => void warnings.push(facts), error() {} },
    namespaces: async () => ['ada', 'bob'],
    folderOf: (namespace) => join(folder, namespace),
    quotaOf: (namespace) => (namespace.toLowerCase() === 'ada' ? 1_000 : Number.POSITIVE_INFINITY),
    tell: async (namespace, full) => void told.push([namespace, full]),
  });
  await mkdir(join(folder, 'ada/b/j/.labrun'), { recursive: true });
  await writeFile(join(folder, 'ada/b/j/result'), Buffer.alloc(400));
  await writeFile(join(folder, 'ada/b/j/.labrun/log'), Buffer.alloc(100));
  await symlink('/etc', join(folder, 'ada/b/etc'));
});
afterEach(() => usage.close());

const said = (count: number) => until(`${count} verdicts`, () => told.length >= count && told.at(-1));

it('counts at start what is there, without following links, and nothing where there is no quota', async () => {
  usage.start();
  expect(usage.used('ada')).toEqual({ bytes: undefined, quota: 1_000 });
  await said(2);
  expect(told).toContainEqual(['ada', '']);
  // One that had a quota once may have been left full.
  expect(told).toContainEqual(['bob', '']);
  expect(usage.used('Ada')).toEqual({ bytes: 500, quota: 1_000 });
  expect(usage.used('bob')).toBeUndefined();
});

it('calls a namespace full only after counting again', async () => {
  usage.start();
  await said(2);
  usage.add('ada', 600); // those who removed as much meanwhile have room
  expect(await said(3)).toEqual(['ada', '']);
  expect(usage.used('ada')).toMatchObject({ bytes: 500 });
  await writeFile(join(folder, 'ada/b/j/more'), Buffer.alloc(700));
  usage.add('ada', 700);
  expect(await said(4)).toEqual(['ada', expect.stringContaining('has used 1.2 KiB of its 1000 B in the archive')]);
});

it('counts a full one again when somebody asks, once a minute, and by itself every ten minutes', async () => {
  await writeFile(join(folder, 'ada/b/j/more'), Buffer.alloc(700));
  usage.start();
  expect((await said(2))[1]).toContain('has used');
  await rm(join(folder, 'ada/b/j/more'));
  usage.recount('ada');
  clock.advance(60_000);
  usage.recount('ada');
  expect(await said(3)).toEqual(['ada', '']);
  await writeFile(join(folder, 'ada/b/j/more'), Buffer.alloc(700));
  clock.advance(60_000);
  usage.recount('ada');
  expect((await said(4))[1]).toContain('has used');
  await rm(join(folder, 'ada/b/j/more'));
  clock.advance(600_000);
  expect(await said(5)).toEqual(['ada', '']);
});
