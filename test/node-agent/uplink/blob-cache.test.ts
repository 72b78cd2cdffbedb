import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openLog } from '../../../base/log.ts';
import { systemRandom } from '../../../base/random.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { openBlobCache } from '../../../node-agent/uplink/blob-cache.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'labrun-blobs-'));
});
afterEach(() => rm(folder, { recursive: true }));

const signal = new AbortController().signal;
const [a, b, c] = ['aaaa', 'bbbb', 'cccc'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];

/** A cache over contents that are served in two-byte pieces; `asked` says from where each was asked for. */
async function aCache(contents: readonly Buffer[], quotaBytes = 100) {
  const asked: number[] = [];
  const gate = { open: Promise.resolve() };
  async function* blob(_: string, hash: string, offset: number): AsyncGenerator<Buffer> {
    asked.push(offset);
    await gate.open;
    const data = contents.find((content) => hashBytes(content) === hash) ?? Buffer.from('wrong');
    for (let at = offset; at < data.length; at += 2) yield data.subarray(at, at + 2);
  }
  const ports = { folder, quotaBytes, clock: systemClock, random: systemRandom, log: openLog('test', 'silent') };
  return { cache: await openBlobCache({ ...ports, link: { blob } }), asked, gate };
}

const there = async () => (await readdir(folder)).sort();
const name = (data: Buffer) => hashBytes(data).slice('blake3:'.length);

describe('the input cache', () => {
  it('fetches a content once for all who wait for it', async () => {
    const { cache, asked } = await aCache([a]);
    const holders = Array.from({ length: 10 }, (_, at) => `job ${at}`);
    const paths = await Promise.all(holders.map((holder) => cache.obtain('lab', hashBytes(a), 4, holder, signal)));
    expect(asked).toEqual([0]);
    expect(new Set(paths).size).toBe(1);
    expect(await readFile(paths[0] ?? '', 'utf8')).toBe('aaaa');
  });

  it('goes on where an earlier agent stopped, and still checks the whole', async () => {
    await writeFile(join(folder, `${name(a)}.part`), 'aa');
    const { cache, asked } = await aCache([a]);
    expect(await readFile(await cache.obtain('lab', hashBytes(a), 4, 'job', signal), 'utf8')).toBe('aaaa');
    expect(asked).toEqual([2]);
  });

  it('begins anew when what was left of an earlier try is damaged', async () => {
    await writeFile(join(folder, `${name(a)}.part`), 'XX');
    const { cache, asked } = await aCache([a]);
    expect(await readFile(await cache.obtain('lab', hashBytes(a), 4, 'job', signal), 'utf8')).toBe('aaaa');
    expect(asked).toEqual([2, 0]);
  });

  it('never gives out content with another hash', async () => {
    const { cache } = await aCache([]);
    await expect(cache.obtain('lab', hashBytes(a), 4, 'job', signal)).rejects.toThrow('sent other content');
    expect(await there()).toEqual([]);
  });

  it('removes the least recently used beyond its quota, never what is held', async () => {
    const { cache } = await aCache([a, b, c], 9);
    await cache.obtain('lab', hashBytes(a), 4, 'one', signal);
    await cache.obtain('lab', hashBytes(b), 4, 'two', signal);
    cache.release('two');
    await cache.obtain('lab', hashBytes(c), 4, 'three', signal);
    await expect.poll(there).toEqual([name(a), name(c)].sort());
    const waiting = cache.obtain('lab', hashBytes(b), 4, 'four', signal);
    cache.release('one');
    expect(await waiting).toContain(name(b));
  });

  it('says that its quota is too small when nobody else is going to let go', async () => {
    const { cache } = await aCache([a, b, c], 9);
    await cache.obtain('lab', hashBytes(a), 4, 'one', signal);
    await cache.obtain('lab', hashBytes(b), 4, 'one', signal);
    await expect(cache.obtain('lab', hashBytes(c), 4, 'one', signal)).rejects.toMatchObject({ code: 'disk-full' });
    const waiting = cache.obtain('lab', hashBytes(c), 4, 'two', signal);
    cache.release('one');
    expect(await waiting).toContain(name(c));
  });

  it('remembers after a restart what it holds', async () => {
    const first = await aCache([a]);
    await first.cache.obtain('lab', hashBytes(a), 4, 'job', signal);
    const second = await aCache([]);
    await second.cache.obtain('lab', hashBytes(a), 4, 'job', signal);
    expect(second.asked).toEqual([]);
  });

  it('lets one stop waiting without stopping the others', async () => {
    const { cache, gate, asked } = await aCache([a]);
    let open = () => {};
    gate.open = new Promise((resolve) => {
      open = resolve;
    });
    const stop = new AbortController();
    const leaves = cache.obtain('lab', hashBytes(a), 4, 'one', stop.signal);
    const stays = cache.obtain('lab', hashBytes(a), 4, 'two', signal);
    stop.abort(new Error('cancelled'));
    await expect(leaves).rejects.toThrow('cancelled');
    open();
    await stays;
    expect(asked).toEqual([0]);
  });
});
