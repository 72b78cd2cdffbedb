import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StageWriter } from '../../../head/archive/stage-writer.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

let files: StageWriter;
let folder: string;

beforeEach(() => {
  files = new StageWriter();
  folder = scratchFolder();
});
afterEach(() => files.close());

describe('small files of an archive', () => {
  it('are written as a whole, with the folders they need, many at once', async () => {
    const names = Array.from({ length: 500 }, (_, at) => `a/b${at % 7}/f${at}`);
    await Promise.all(names.map((name) => files.write(join(folder, name), Buffer.from(name))));
    for (const name of names) expect(await readFile(join(folder, name), 'utf8')).toBe(name);
  });

  it('replace what was there, which was longer', async () => {
    const path = join(folder, 'f');
    await writeFile(path, 'much longer than before');
    await files.write(path, Buffer.from('short'));
    expect(await readFile(path, 'utf8')).toBe('short');
  });

  it('fail alone, with what the system says, when one of them cannot be written', async () => {
    await mkdir(join(folder, 'taken'));
    const results = await Promise.allSettled([
      files.write(join(folder, 'before'), Buffer.from('1')),
      files.write(join(folder, 'taken'), Buffer.from('2')),
      files.write(join(folder, 'after'), Buffer.from('3')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'EISDIR' } });
  });

  it('do not carry along the large message they came in', async () => {
    const message = Buffer.alloc(2 ** 20, 7);
    const written = files.write(join(folder, 'f'), message.subarray(10, 20));
    message.fill(0);
    await written;
    expect(await readFile(join(folder, 'f'))).toEqual(Buffer.alloc(10, 7));
  });

  it('get the modes they are kept with, where one is given', async () => {
    const paths = Array.from({ length: 600 }, (_, at) => join(folder, `f${at}`));
    await Promise.all(paths.map((path) => files.write(path, Buffer.from('x'))));
    await files.keep(paths.map((path, at) => ({ path, mode: at % 2 === 0 ? 0o640 : undefined })));
    const modes = await Promise.all(paths.slice(0, 2).map(async (path) => (await stat(path)).mode & 0o777));
    expect(modes).toEqual([0o640, 0o600]);
  });

  it('are not kept when one of them is gone', async () => {
    await files.write(join(folder, 'here'), Buffer.from('x'));
    const kept = files.keep(['here', 'gone'].map((name) => ({ path: join(folder, name), mode: undefined })));
    await expect(kept).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('are refused to whoever still waits when the head stops', async () => {
    await files.write(join(folder, 'f'), Buffer.from('x'));
    const waiting = Promise.allSettled([files.write(join(folder, 'g'), Buffer.from('x'))]);
    await files.close();
    const [late] = await waiting;
    // It was written, or its writer was told to try again.
    expect(late.status === 'fulfilled' || late.reason.refusal.code === 'busy').toBe(true);
  });
});
