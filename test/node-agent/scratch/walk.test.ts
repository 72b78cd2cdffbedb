import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { removeGuarded } from '../../../base/transfer/remove-guarded.ts';
import { look, walk } from '../../../node-agent/scratch/walk.ts';
import { makeDeepTree } from '../../kit/deep-tree.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const isRoot = process.getuid?.() === 0;

describe('walking a tree', () => {
  it('lists folders before what is in them, by name, with what links say', async () => {
    const root = scratchFolder();
    for (const path of ['b/inner', 'a']) mkdirSync(join(root, path), { recursive: true });
    for (const path of ['b/inner/f', 'b/z', 'c']) writeFileSync(join(root, path), 'x');
    symlinkSync('../nowhere', join(root, 'b', 'link'));
    const entries = await walk(root);
    expect(entries.map(({ path, kind }) => `${kind} ${path}`)).toEqual([
      'folder a',
      'folder b',
      'folder b/inner',
      'file b/inner/f',
      'link b/link',
      'file b/z',
      'file c',
    ]);
    expect(entries.find(({ kind }) => kind === 'link')?.target).toBe('../nowhere');
    expect(entries.every(({ path, source }) => source === join(root, path))).toBe(true);
    expect(await walk(join(root, 'not there'))).toEqual([]);
  });

  it('ends with a named problem in a tree that is deeper than a path may be long', async () => {
    const root = scratchFolder();
    mkdirSync(join(root, 'deep'));
    onTestFinished(() => removeGuarded(join(root, 'deep')));
    makeDeepTree(join(root, 'deep'), 3_000);
    const entries = await walk(root);
    const odd = entries.filter(({ problem }) => problem !== undefined);
    expect(odd.length).toBeGreaterThan(0);
    for (const { problem } of odd) expect(problem).toBe('its path is longer than 1024 bytes');
    expect(entries.length).toBeLessThan(300);
  }, 30_000);

  it('ends at its limit, however many files there are, and says where', async () => {
    const root = scratchFolder();
    mkdirSync(join(root, 'many'));
    execFileSync('bash', ['-c', 'seq 150000 | xargs touch'], { cwd: join(root, 'many') });
    writeFileSync(join(root, 'after'), '');
    const entries = await walk(root, { entriesMax: 1_000 });
    expect(entries).toHaveLength(1_001);
    expect(entries.at(-1)).toMatchObject({
      path: 'many',
      kind: 'other',
      unread: true,
      problem: expect.stringContaining('at 1000 files and folders'),
    });
    expect(entries.filter(({ problem }) => problem !== undefined)).toHaveLength(1);
    expect(await walk(root, { entriesMax: 150_002 })).toHaveLength(150_002);
  }, 60_000);

  it('says of each odd thing what it is', async () => {
    const root = scratchFolder();
    execFileSync('mkfifo', [join(root, 'fifo')]);
    const server = createServer().listen(join(root, 'socket'));
    onTestFinished(() => void server.close());
    await new Promise((listening) => server.once('listening', listening));
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff])]), '');
    symlinkSync(Buffer.from([0x66, 0xff]), join(root, 'link'));
    if (isRoot) execFileSync('mknod', [join(root, 'null'), 'c', '1', '3']);
    const problems = Object.fromEntries((await walk(root)).map(({ path, problem }) => [path, problem]));
    expect(problems).toEqual({
      fifo: 'it is a FIFO; only files, folders and links are kept',
      socket: 'it is a socket; only files, folders and links are kept',
      'f\u00ff': 'its name is no UTF-8 text',
      link: 'it points to a name that is no UTF-8 text',
      ...(isRoot ? { null: 'it is a device; only files, folders and links are kept' } : {}),
    });
  });

  it.runIf(isRoot)('enters no folder, and takes no file, that is closed to the account it walks for', async () => {
    const root = scratchFolder();
    const owner = { uid: 65_534, gid: 65_534 };
    for (const name of ['closed', 'listable', 'open']) mkdirSync(join(root, name));
    for (const name of ['closed/f', 'open/f', 'open/secret']) writeFileSync(join(root, name), 'x');
    execFileSync('chmod', ['700', join(root, 'closed')]);
    execFileSync('chmod', ['744', join(root, 'listable')]);
    execFileSync('chmod', ['600', join(root, 'open/secret')]);
    chownSync(join(root, 'open/f'), 65_534, 65_534);
    const entries = await walk(root, { owner });
    const kept = entries.filter(({ problem }) => problem === undefined).map(({ path }) => path);
    expect(kept).toEqual(['open', 'open/f']);
    expect(entries.filter(({ problem }) => problem?.startsWith('it belongs to another account'))).toHaveLength(3);
  });
});

describe('looking at one entry', () => {
  it('goes through a link inside, and not out', async () => {
    const root = scratchFolder();
    for (const path of ['work/run', 'outside']) mkdirSync(join(root, path), { recursive: true });
    for (const path of ['work/run/f', 'outside/f']) writeFileSync(join(root, path), 'x');
    symlinkSync('run', join(root, 'work/latest'));
    symlinkSync(join(root, 'outside'), join(root, 'work/out'));
    symlinkSync('loop', join(root, 'work/loop'));
    const work = join(root, 'work');
    expect(await look(work, 'latest/f')).toMatchObject({ path: 'latest/f', source: join(work, 'run/f'), kind: 'file' });
    expect(await look(work, 'out')).toMatchObject({ kind: 'link' });
    await expect(look(work, 'out/f')).rejects.toThrow(
      'Cannot archive "out/f": a link on the way to it leads elsewhere',
    );
    for (const path of ['none', 'run/none', 'run/f/none', 'loop/f']) expect(await look(work, path)).toBeUndefined();
  });
});
