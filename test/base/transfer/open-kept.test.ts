import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, linkSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type KeptFile, openKept, openKeptFolder, openKeptNow, openNamed } from '../../../base/transfer/open-kept.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65_534, gid: 65_534 };

describe('opening what a job left', () => {
  it('reads a file, whatever its name is made of', async () => {
    const folder = scratchFolder();
    for (const name of ['plain', 'ends (deleted)', 'new\nline', 'back\\slash', ' ', 'ä']) {
      writeFileSync(join(folder, name), name);
      expect(await textOf({ path: join(folder, name) })).toBe(name);
    }
  });

  it('refuses a link, a FIFO, a socket, a folder and a device, and waits for none of them', async () => {
    const folder = scratchFolder();
    const at = (name: string) => join(folder, name);
    writeFileSync(at('file'), 'x');
    symlinkSync(at('file'), at('link'));
    symlinkSync(at('nowhere'), at('broken'));
    execFileSync('mkfifo', [at('fifo')]);
    mkdirSync(at('folder'));
    const server = createServer().listen(at('socket'));
    onTestFinished(() => void server.close());
    await new Promise((listening) => server.once('listening', listening));
    const said: Record<string, RegExp> = {
      link: /it is a link, no file/,
      broken: /it is a link, no file/,
      fifo: /it is a FIFO, no file/,
      folder: /it is a folder, no file/,
      socket: /it is a socket or a device, no file/,
    };
    for (const [name, problem] of Object.entries(said)) {
      await expect(openKept({ path: at(name) }), name).rejects.toThrow(problem);
      await expect(openKept({ path: at(name) }), name).rejects.toMatchObject({ code: 'swapped' });
      expect(() => openKeptNow({ path: at(name) }), name).toThrow(problem);
    }
    await expect(openKept({ path: '/dev/zero' })).rejects.toThrow('it is a device, no file');
    await expect(openKept({ path: at('nothing') })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('refuses a file behind a folder that has become a link, and such a folder', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'secret'));
    writeFileSync(join(folder, 'secret', 'data'), 'secret');
    mkdirSync(join(folder, 'archive', 'run'), { recursive: true });
    writeFileSync(join(folder, 'archive', 'run', 'data'), 'own');
    const path = join(folder, 'archive', 'run', 'data');
    expect(await textOf({ path })).toBe('own');
    renameSync(join(folder, 'archive', 'run'), join(folder, 'archive', 'away'));
    symlinkSync(join(folder, 'secret'), join(folder, 'archive', 'run'));
    await expect(openKept({ path })).rejects.toThrow(/a folder on the way has become a link/);
    expect(() => openKeptNow({ path })).toThrow(/a folder on the way has become a link/);
    expect(() => openKeptFolder(join(folder, 'archive', 'run'))).toThrow(/ENOTDIR|ELOOP/);
    mkdirSync(join(folder, 'secret', 'deeper'));
    expect(() => openKeptFolder(join(folder, 'archive', 'run', 'deeper'))).toThrow(/has become a link/);
  });

  it.runIf(isRoot)('reads nothing for an account that this account may not read, whoever linked it where', async () => {
    const folder = scratchFolder();
    const make = (name: string, mode: number, uid: number, gid: number): KeptFile => {
      const path = join(folder, name);
      writeFileSync(path, 'text');
      chmodSync(path, mode);
      chownSync(path, uid, gid);
      return { path, owner: nobody };
    };
    const secret = make('secret', 0o600, 0, 0);
    linkSync(secret.path, join(folder, 'linked'));
    await expect(openKept({ ...secret, path: join(folder, 'linked') })).rejects.toMatchObject({ code: 'not-yours' });
    expect(() => openKeptNow(secret)).toThrow(/belongs to another account/);
    await expect(openKept(make('group', 0o640, 0, 0))).rejects.toMatchObject({ code: 'not-yours' });
    expect(await textOf(make('own', 0o000, nobody.uid, nobody.gid))).toBe('text'); // who owns it could open it up
    expect(await textOf(make('open', 0o644, 0, 0))).toBe('text');
    expect(await textOf(make('shared', 0o640, 0, nobody.gid))).toBe('text');
    expect(await textOf({ path: secret.path })).toBe('text'); // where jobs are ours, the kernel judges
  });
});

describe('opening what somebody named', () => {
  it('goes through links, and refuses what is no file without waiting', async () => {
    const folder = scratchFolder();
    const at = (name: string) => join(folder, name);
    writeFileSync(at('file'), 'x');
    symlinkSync(at('file'), at('link'));
    execFileSync('mkfifo', [at('fifo')]);
    symlinkSync(at('fifo'), at('far'));
    const handle = await openNamed(at('link'));
    expect(await handle.readFile('utf8')).toBe('x');
    await handle.close();
    await expect(openNamed(at('fifo'))).rejects.toThrow('it is a FIFO, no file');
    await expect(openNamed(at('far'))).rejects.toThrow('it is a FIFO, no file');
    await expect(openNamed('/dev/zero')).rejects.toThrow('it is a device, no file');
  });
});

async function textOf(file: KeptFile): Promise<string> {
  const handle = await openKept(file);
  try {
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
