import { chmodSync, existsSync, lchownSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { DeskCallers, makeProofs } from '../../../node-agent/desk/caller.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const secret = '0123456789abcdef0123456789abcdef';
let folder = '';
let callers: DeskCallers;

beforeEach(async () => {
  folder = join(scratchFolder(), 'proofs');
  await makeProofs(folder);
  callers = new DeskCallers(folder);
});

describe('a caller at the desk', () => {
  it('is whoever made the link that proves the call, which works once', async () => {
    symlinkSync(secret, join(folder, secret));
    expect(await callers.identify(secret)).toEqual({ uid: process.getuid?.(), name: userInfo().username });
    expect(existsSync(join(folder, secret))).toBe(false);
    expect(await callers.identify(secret)).toMatchObject({ code: 'denied' });
  });

  it.runIf(process.getuid?.() === 0)('is another account when that made the link', async () => {
    symlinkSync(secret, join(folder, secret));
    lchownSync(join(folder, secret), 65_534, 65_534);
    expect(await callers.identify(secret)).toEqual({ uid: 65_534, name: 'nobody' });
    symlinkSync(secret, join(folder, secret));
    lchownSync(join(folder, secret), 3_999_999, 65_534);
    expect(await callers.identify(secret)).toEqual({ uid: 3_999_999, name: '3999999' });
  });

  it('is let in by number while nobody can tell names, and by name as soon as somebody can', async () => {
    const programs = scratchFolder();
    callers = new DeskCallers(folder, `${programs}:/usr/bin:/bin`);
    const uid = process.getuid?.();
    const call = () => {
      symlinkSync(secret, join(folder, secret));
      return callers.identify(secret);
    };
    const getent = (text: string) => {
      writeFileSync(join(programs, 'getent'), `#!/bin/sh\n${text}\n`);
      chmodSync(join(programs, 'getent'), 0o755);
    };
    getent('exec sleep 20'); // the machine with the names does not answer
    expect(await call()).toEqual({ uid, name: String(uid) });
    getent('exit 2');
    expect(await call()).toEqual({ uid, name: String(uid) });
    getent('echo ada:x:1:1::/:');
    expect(await call()).toEqual({ uid, name: 'ada' });
  });

  it('is nobody with a file, a link elsewhere, or a name that leaves the folder', async () => {
    writeFileSync(join(folder, secret), secret);
    expect(await callers.identify(secret)).toMatchObject({ code: 'denied' });
    symlinkSync('/etc/passwd', join(folder, secret));
    expect(await callers.identify(secret)).toMatchObject({ code: 'denied' });
    for (const bad of ['', '..', `../${secret.slice(3)}`, secret.toUpperCase(), `${secret}0`])
      expect(await callers.identify(bad)).toMatchObject({ code: 'denied' });
  });

  it('is nobody with a link that an earlier agent never saw', async () => {
    symlinkSync(secret, join(folder, secret));
    await makeProofs(folder);
    expect(await callers.identify(secret)).toMatchObject({ code: 'denied' });
  });
});
