import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SmallFiles } from '../../../node-agent/uplink/small-files.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

let files: SmallFiles;
let folder: string;

beforeEach(() => {
  files = new SmallFiles();
  folder = scratchFolder();
});
afterEach(() => files.close());

function aFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('small files on their way to the head', () => {
  it('are read as they are, many at once', async () => {
    const texts = Array.from({ length: 300 }, (_, at) => `${at} `.repeat(at + 1));
    const read = texts.map((text, at) => files.read({ path: aFile(`f${at}`, text) }, text.length));
    expect((await Promise.all(read)).map(String)).toEqual(texts);
  });

  it('are read up to the size they had, and no further than they are', async () => {
    const path = aFile('f', '12345');
    expect(String(await files.read({ path }, 3))).toBe('123');
    expect(String(await files.read({ path }, 9))).toBe('12345');
  });

  it('are refused alone: a link, one that is gone, and one that the job could not read itself', async () => {
    const path = aFile('f', 'x');
    symlinkSync(path, join(folder, 'link'));
    const secret = aFile('secret', 'y');
    chmodSync(secret, 0o600);
    const owner = { uid: 54_321, gid: 54_321 };
    const results = await Promise.allSettled([
      files.read({ path: join(folder, 'link') }, 1),
      files.read({ path: join(folder, 'gone') }, 1),
      files.read({ path: secret, owner }, 1),
      files.read({ path }, 1),
    ]);
    expect(results).toMatchObject([
      { reason: { name: 'Fault', code: 'swapped' } },
      { reason: { name: 'Error', code: 'ENOENT' } },
      { reason: { name: 'Fault', code: 'not-yours' } },
      { value: Buffer.from('x') },
    ]);
  });

  it('are asked for again when their reader has ended, which says nothing about them', async () => {
    const path = aFile('f', 'x');
    await files.read({ path }, 1);
    const [late] = await Promise.allSettled([files.read({ path }, 1), files.close()]);
    expect(late.status === 'fulfilled' || late.reason.code === 'no-room').toBe(true);
    expect(String(await files.read({ path }, 1))).toBe('x');
  });
});
