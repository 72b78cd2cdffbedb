import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { type ContentHash, hashBytes } from '../../../base/transfer/hash.ts';
import { type ManifestEntry, manifestLine } from '../../../base/transfer/manifest.ts';
import { sealAttempt } from '../../../head/archive/seal.ts';
import { type StageFiles, StageWriter } from '../../../head/archive/stage-writer.ts';
import { StagedAttempt } from '../../../head/archive/staged-attempt.ts';
import { StagedFile } from '../../../head/archive/staged-file.ts';
import { StagingUsage } from '../../../head/archive/staging-usage.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const writer = new StageWriter();
afterAll(() => writer.close());
let folder: string;
let staged: StagedAttempt;

beforeEach(async () => {
  folder = scratchFolder();
  staged = await open();
});

const open = (files: StageFiles = writer) =>
  StagedAttempt.open(folder, new StagingUsage(() => 1_000_000).shareOf('lab'), files);
const at = (path: string) => join(folder, 'archive', path);

async function send(path: string, text: string): Promise<void> {
  const piece = { offset: 0, data: Buffer.from(text), truncate: true, finalHash: hashBytes(text) };
  expect(await staged.take(path, piece)).toMatchObject({ verified: true });
}

const file = (path: string, text: string): ManifestEntry => ({
  ...{ kind: 'file', path, sizeBytes: Buffer.byteLength(text), mode: 0o644, hash: hashBytes(text) },
});
const link = (path: string, target: string): ManifestEntry => ({ kind: 'link', path, target });

/** Sends a manifest; answers its hash. */
async function list(...entries: readonly ManifestEntry[]): Promise<ContentHash> {
  const manifest = entries.map(manifestLine).join('');
  await send('manifest', manifest);
  return hashBytes(manifest);
}

describe('what travelled while a job ran', () => {
  it('gives its place to a link that the job has put there since', async () => {
    await send('archive/latest/deep/a', 'early');
    expect(await sealAttempt(staged, await list(link('latest', 'run-7')))).toEqual({ kind: 'sealed' });
    expect(readlinkSync(at('latest'))).toBe('run-7');
  });

  it('gives its place to a folder that the job has put there since, also to one with only links in it', async () => {
    await send('archive/out', 'early');
    await send('archive/more', 'early');
    const hash = await list({ kind: 'folder', path: 'out', mode: 0o755 }, link('more/b', 'c'));
    expect(await sealAttempt(staged, hash)).toEqual({ kind: 'sealed' });
    expect(lstatSync(at('out')).isDirectory()).toBe(true);
    expect(readlinkSync(at('more/b'))).toBe('c');
  });

  it('leaves no folder behind where the job has removed all of it', async () => {
    await send('archive/gone/a', 'early');
    await send('archive/kept/a', 'early');
    expect(await sealAttempt(staged, await list(file('kept/a', 'early')))).toEqual({ kind: 'sealed' });
    expect([existsSync(at('gone')), readFileSync(at('kept/a'), 'utf8')]).toEqual([false, 'early']);
  });
});

describe('an archive that is sealed', () => {
  it('changes no more when its end is told once more', async () => {
    await send('archive/a', 'text');
    const hash = await list(file('a', 'text'), link('b', 'a'));
    expect(await sealAttempt(staged, hash)).toEqual({ kind: 'sealed' });
    const before = lstatSync(at('b'), { bigint: true }).ctimeNs;
    expect(await sealAttempt(staged, hash)).toEqual({ kind: 'sealed' });
    expect(lstatSync(at('b'), { bigint: true }).ctimeNs).toBe(before);
  });

  it('has its links also for a head that is started after the one which made them, until something is written', async () => {
    await send('archive/a', 'text');
    const hash = await list(link('b', '/etc'), file('a', 'text'));
    await sealAttempt(staged, hash);
    await staged.close();
    staged = await open();
    expect(readlinkSync(at('b'))).toBe('/etc');
    await send('archive/b/c', 'x');
    expect(readFileSync(at('b/c'), 'utf8')).toBe('x');
    expect(existsSync('/etc/c')).toBe(false);
  });
});

describe('a file that was verified', () => {
  it('is asked for again when it is not on the disk', async () => {
    await send('archive/a', 'text');
    await send('archive/b', 'text');
    await rm(at('a'));
    const hash = await list(file('a', 'text'), file('b', 'text'));
    expect(await sealAttempt(staged, hash)).toEqual({ kind: 'mismatch', paths: ['archive/a'] });
    await send('archive/a', 'text');
    expect(await sealAttempt(staged, hash)).toEqual({ kind: 'sealed' });
  });

  it('is asked for again with all others when somebody has removed them', async () => {
    await send('archive/a', 'text');
    const hash = await list(file('a', 'text'));
    await rm(folder, { recursive: true });
    expect(await sealAttempt(staged, hash)).toEqual({ kind: 'mismatch', paths: [] });
    await send('archive/a', 'text');
    expect(await sealAttempt(staged, await list(file('a', 'text')))).toEqual({ kind: 'sealed' });
  });

  it('is asked for again when the disk could not write it, which it says only once', async () => {
    let refuses = true;
    staged = await open({
      write: (path, data) => writer.write(path, data),
      keep: async (files) => {
        if (refuses) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
        await writer.keep(files);
      },
    });
    await send('archive/a', 'text');
    const hash = await list(file('a', 'text'));
    await expect(sealAttempt(staged, hash)).rejects.toThrow('EIO');
    refuses = false;
    expect(await sealAttempt(staged, hash)).toEqual({ kind: 'mismatch', paths: [] });
    await send('archive/a', 'text');
    expect(await sealAttempt(staged, await list(file('a', 'text')))).toEqual({ kind: 'sealed' });
  });

  it('has nothing behind its end of a piece that was written in part', async () => {
    const path = join(folder, 'log');
    const log = new StagedFile(path, 0);
    await log.take({ offset: 0, data: Buffer.from('one '), truncate: true, finalHash: undefined });
    await log.close();
    await appendFile(path, 'what the disk took before it was full');
    const last = { offset: 4, data: Buffer.from('two'), truncate: false, finalHash: hashBytes('one two') };
    expect(await log.take(last)).toEqual({ offset: 7, verified: true });
    expect(readFileSync(path, 'utf8')).toBe('one two');
  });
});
