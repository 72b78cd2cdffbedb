import { existsSync, lchownSync, symlinkSync, writeFileSync } from 'node:fs';
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
