import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { StageWriter } from '../../../head/archive/stage-writer.ts';
import { StagedAttempt } from '../../../head/archive/staged-attempt.ts';
import { StagingUsage } from '../../../head/archive/staging-usage.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

// A disk that stops answering between two calls cannot be had on purpose: only this one call is made to fail.
const disk: { failure: Error | undefined } = vi.hoisted(() => ({ failure: undefined }));
vi.mock('node:fs/promises', async (load) => {
  const real = await load<typeof import('node:fs/promises')>();
  const lstat = (path: string) => (disk.failure ? Promise.reject(disk.failure) : real.lstat(path));
  return { ...real, lstat };
});

afterEach(() => {
  disk.failure = undefined;
});

const files = new StageWriter();
afterAll(() => files.close());

const whole = (text: string) => ({ offset: 0, data: Buffer.from(text), truncate: true, finalHash: hashBytes(text) });

describe('a file where a folder was', () => {
  it('takes its place', async () => {
    const folder = scratchFolder();
    const staged = await StagedAttempt.open(folder, new StagingUsage(() => 100).shareOf('ada'), files);
    await staged.take('archive/out/a', whole('in a folder'));
    expect(await staged.take('archive/out', whole('a file'))).toMatchObject({ verified: true });
    expect(await readFile(join(folder, 'archive/out'), 'utf8')).toBe('a file');
    expect(staged.list().map(({ path }) => path)).toEqual(['archive/out']);
  });

  it('takes the place of files below that had travelled, and the other way round', async () => {
    const folder = scratchFolder();
    const staged = await StagedAttempt.open(folder, new StagingUsage(() => 100).shareOf('ada'), files);
    await staged.take('archive/out', whole('a file'));
    expect(await staged.take('archive/out/a', whole('in a folder'))).toMatchObject({ verified: true });
    expect(await readFile(join(folder, 'archive/out/a'), 'utf8')).toBe('in a folder');
  });

  it('is refused as a fault, and removes nothing, when the disk cannot say what is there', async () => {
    const folder = scratchFolder();
    await mkdir(join(folder, 'archive/out'), { recursive: true });
    const staged = await StagedAttempt.open(folder, new StagingUsage(() => 100).shareOf('ada'), files);
    disk.failure = Object.assign(new Error('EIO: i/o error, lstat'), { code: 'EIO', errno: -5, syscall: 'lstat' });
    await expect(staged.take('archive/out', whole('a file'))).rejects.toMatchObject({
      code: 'disk',
      message: expect.stringContaining('EIO'),
    });
    expect(await readdir(join(folder, 'archive'))).toEqual(['out']);
  });
});
