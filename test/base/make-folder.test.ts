import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder, makeFolderSync } from '../../base/make-folder.ts';
import { itWith } from '../kit/real-parts.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { mountSmallDisk } from '../kit/small-disk.ts';

it('makes a folder and those above it, and minds none that is there', async () => {
  const folder = scratchFolder();
  await makeFolder(join(folder, 'a/b/c'));
  await makeFolder(join(folder, 'a/b/c'));
  makeFolderSync(join(folder, 'a/b/d/e'));
  makeFolderSync(join(folder, 'a'));
  expect(existsSync(join(folder, 'a/b/c')) && existsSync(join(folder, 'a/b/d/e'))).toBe(true);
});

it('says that a file is in the way', async () => {
  const file = join(scratchFolder(), 'file');
  writeFileSync(file, '');
  await expect(makeFolder(file)).rejects.toMatchObject({ code: 'EEXIST' });
  expect(() => makeFolderSync(join(file, 'below'))).toThrow(/ENOTDIR/);
});

itWith('small disk')('says that the disk is read-only, or has no inodes, where that is why', async () => {
  const disk = mountSmallDisk(join(scratchFolder(), 'disk'), 2 ** 20, { inodes: 8 });
  onTestFinished(() => disk.remove());
  disk.useUpInodes();
  await expect(makeFolder(join(disk.folder, 'a/b'))).rejects.toMatchObject({ code: 'ENOSPC' });
  disk.setReadOnly(true);
  await expect(makeFolder(join(disk.folder, 'a/b'))).rejects.toMatchObject({ code: 'EROFS' });
  expect(() => makeFolderSync(join(disk.folder, 'a/b'))).toThrow(/EROFS/);
  await makeFolder(disk.folder);
});

it('says that none can be made there, and does not try for ever', async () => {
  await expect(makeFolder('/proc/labrun/a')).rejects.toMatchObject({ code: 'ENOENT' });
  expect(() => makeFolderSync('/proc/labrun/a')).toThrow(/ENOENT/);
});
