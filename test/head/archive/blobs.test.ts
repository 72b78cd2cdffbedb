import { mkdtempSync } from 'node:fs';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openLog } from '../../../base/log.ts';
import { asContentHash, type ContentHash, hashBytes } from '../../../base/transfer/hash.ts';
import { BlobStore, holdMs } from '../../../head/archive/blobs.ts';
import { BlobCollector } from '../../../head/archive/collect-blobs.ts';
import { InputUsage } from '../../../head/archive/input-usage.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

// A disk that loses what it was given cannot be had on purpose: only this one call is made to fail.
const disk: { failure: Error | undefined } = vi.hoisted(() => ({ failure: undefined }));
vi.mock('node:fs/promises', async (load) => {
  const real = await load<typeof import('node:fs/promises')>();
  const open: typeof real.open = async (...how) => {
    const file = await real.open(...how);
    const sync = file.sync.bind(file);
    return Object.assign(file, { sync: () => (disk.failure ? Promise.reject(disk.failure) : sync()) });
  };
  return { ...real, open };
});

let folder: string;
let blobs: BlobStore;
let usage: InputUsage;
const quota = 5_000;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'labrun-test-'));
  usage = new InputUsage(() => quota);
  blobs = new BlobStore(folder, systemClock, usage);
  await blobs.start();
});
afterEach(() => rm(folder, { recursive: true }));

async function put(namespace: string, text: string, hash: ContentHash = hashBytes(text)): Promise<ContentHash> {
  const upload = await blobs.upload(namespace, hash, Buffer.byteLength(text), 0);
  await upload.write(0, Buffer.from(text));
  await blobs.keep(namespace, upload);
  return hash;
}

const log = openLog('test', 'silent');

describe('the blob store', () => {
  it('lets nobody write into an upload that is verified and not yet in its place', async () => {
    const text = 'a'.repeat(1000);
    const first = await blobs.upload('lab', hashBytes(text), 1000, 0);
    await first.write(0, Buffer.from(text));
    await first.finish();
    const second = await blobs.upload('lab', hashBytes(text), 1000, 0);
    expect(second.part).not.toBe(first.part);
    await second.write(0, Buffer.from('b'));
    expect(await readFile(first.part, 'utf8')).toBe(text);
    await second.close();
  });

  it('goes on with an interrupted upload, and verifies the whole of it', async () => {
    const text = 'a'.repeat(1000);
    const hash = hashBytes(text);
    const first = await blobs.upload('lab', hash, 1000, 0);
    await first.write(0, Buffer.from(text.slice(0, 400)));
    await first.close();
    expect(await blobs.missing('lab', [hash])).toEqual([{ hash, offset: 400 }]);
    const second = await blobs.upload('lab', hash, 1000, 400);
    await second.write(400, Buffer.from(text.slice(400)));
    await blobs.keep('lab', second);
    expect(await blobs.missing('lab', [hash])).toEqual([]);
    expect(await blobs.sizeFor('lab', hash)).toBe(1000);
  });

  it('refuses a file that changed while it was uploaded, and forgets it', async () => {
    const hash = hashBytes('before');
    await expect(put('lab', 'after!', hash)).rejects.toThrow(/another hash.*changed while it was uploaded/);
    expect(await blobs.missing('lab', [hash])).toEqual([{ hash, offset: 0 }]);
    const longer = await blobs.upload('lab', hash, 6, 0);
    await expect(longer.write(0, Buffer.from('before and more'))).rejects.toThrow(/more than its 6 bytes/);
    await longer.close();
  });

  it('tells a namespace that never put a content that it is missing', async () => {
    const hash = await put('lab', 'secret');
    expect(await blobs.missing('others', [hash])).toEqual([{ hash, offset: 0 }]);
    await expect(blobs.sizeFor('others', hash)).rejects.toThrow(/has not put it/);
    await put('others', 'secret');
    expect(await blobs.sizeFor('others', hash)).toBe(6);
  });

  it('lets two upload one content at once', async () => {
    const hash = hashBytes('same');
    const one = await blobs.upload('lab', hash, 4, 0);
    const two = await blobs.upload('lab', hash, 4, 0);
    await one.write(0, Buffer.from('sa'));
    await two.write(0, Buffer.from('same'));
    await blobs.keep('lab', two);
    await one.write(2, Buffer.from('me'));
    await blobs.keep('lab', one);
    expect(await blobs.sizeFor('lab', hash)).toBe(4);
  });

  it('lets an upload go on with what another has left off, whose line is dead and has not ended', async () => {
    const clock = new ManualClock();
    const store = new BlobStore(folder, clock, usage);
    const hash = hashBytes('same');
    const cut = await store.upload('lab', hash, 4, 0);
    await cut.write(0, Buffer.from('sa'));
    // One that goes on is nobody else's.
    expect(await store.missing('lab', [hash])).toEqual([{ hash, offset: 0 }]);
    await expect(store.upload('lab', hash, 4, 2)).rejects.toThrow('is being uploaded already');
    clock.advance(1_000);
    expect(await store.missing('lab', [hash])).toEqual([{ hash, offset: 2 }]);
    const next = await store.upload('lab', hash, 4, 2);
    await expect(cut.write(2, Buffer.from('me'))).rejects.toThrow('another upload goes on with it');
    await next.write(2, Buffer.from('me'));
    await store.keep('lab', next);
    await cut.close();
    expect(await store.sizeFor('lab', hash)).toBe(4);
  });

  it('collects what no batch needs and nobody has asked for in a day, and nothing else', async () => {
    const [pinned, held, old] = [await put('lab', 'pinned'), await put('lab', 'held'), await put('lab', 'old')];
    const longAgo = (systemClock.nowMs() - holdMs - 60_000) / 1000;
    for (const hash of [pinned, old]) await utimes(join(folder, 'holds/lab', hash.slice(7)), longAgo, longAgo);
    const collector = new BlobCollector(
      blobs,
      systemClock,
      async () => ({
        wanted: new Map([['lab', new Set([pinned])]]),
        isComplete: true,
      }),
      log,
    );
    const nextMs = await collector.collect();
    expect(nextMs).toBeGreaterThan(holdMs - 60_000);
    expect(await blobs.missing('lab', [pinned, held])).toEqual([]);
    expect(await blobs.missing('lab', [old])).toEqual([{ hash: old, offset: 0 }]);
    await collector.close();
  });

  it('keeps what a batch needs, also where the namespace’s hold on it is gone', async () => {
    const needed = await put('lab', 'needed');
    await rm(join(folder, 'holds/lab', needed.slice(7)));
    blobs.beginRound();
    const wanted = new Map([['lab', new Set([needed])]]);
    await new BlobCollector(blobs, systemClock, async () => ({ wanted, isComplete: true }), log).collect();
    expect(await readFile(blobs.pathOf(needed), 'utf8')).toBe('needed');
  });

  it('drops no hold that is renewed while a round looks at it', async () => {
    const hash = await put('lab', 'old');
    const longAgo = (systemClock.nowMs() - holdMs - 60_000) / 1000;
    await utimes(join(folder, 'holds/lab', hash.slice(7)), longAgo, longAgo);
    // It has been seen to have run out when somebody is told that the content is here.
    class Renewed extends BlobStore {
      override async *holds() {
        for await (const hold of super.holds()) {
          expect(await this.renew('lab', hash)).toBe(true);
          yield hold;
        }
      }
    }
    const store = new Renewed(folder, systemClock, usage);
    await new BlobCollector(store, systemClock, async () => ({ wanted: new Map(), isComplete: true }), log).collect();
    expect(await store.missing('lab', [hash])).toEqual([]);
  });

  it('lets an upload be gone on with that was whole, and could not be put in its place', async () => {
    const hash = hashBytes('whole');
    const holds = join(folder, 'holds/lab');
    await writeFile(holds, 'in the way');
    await expect(put('lab', 'whole')).rejects.toThrow('Cannot keep');
    await rm(holds);
    expect(await blobs.missing('lab', [hash])).toEqual([{ hash, offset: 5 }]);
    // Its owner must be able to open it for writing: heads are not root.
    expect((await stat(join(folder, 'parts/lab', `${hash.slice(7)}.part`))).mode & 0o200).toBe(0o200);
    const again = await blobs.upload('lab', hash, 5, 5);
    await blobs.keep('lab', again);
    expect((await stat(blobs.pathOf(hash))).mode & 0o777).toBe(0o444);
  });

  it('wants an upload again that the disk could not write, which it says only once', async () => {
    const hash = hashBytes('lost');
    const upload = await blobs.upload('lab', hash, 4, 0);
    await upload.write(0, Buffer.from('lost'));
    disk.failure = Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
    await expect(blobs.keep('lab', upload)).rejects.toThrow('EIO');
    disk.failure = undefined;
    expect(await blobs.missing('lab', [hash])).toEqual([{ hash, offset: 0 }]);
  });

  it('sweeps partial uploads that nobody goes on with', async () => {
    const hash = asContentHash(`blake3:${'0'.repeat(64)}`) as ContentHash; // the form is right
    const upload = await blobs.upload('lab', hash, 10, 0);
    await upload.close();
    const part = join(folder, 'parts/lab', `${'0'.repeat(64)}.part`);
    await writeFile(part, 'x');
    await utimes(part, 1, 1);
    await new BlobStore(folder, systemClock, new InputUsage(() => quota)).start();
    expect(await readdir(join(folder, 'parts/lab'))).toEqual([]);
    await writeFile(part, 'x');
    await utimes(part, 1, 1);
    const collector = new BlobCollector(blobs, systemClock, async () => ({ wanted: new Map(), isComplete: true }), log);
    await collector.collect();
    expect(await readdir(join(folder, 'parts/lab'))).toEqual([]);
    await collector.close();
  });
});

describe('a quota of input files', () => {
  const used = () => usage.used('lab')?.bytes;
  const zeros = (at: number) => asContentHash(`blake3:${String(at).repeat(64)}`) as ContentHash; // the form is right

  it('counts uploads at the size they said, and refuses one that would pass it', async () => {
    const upload = await blobs.upload('lab', zeros(1), 4_000, 0);
    expect(used()).toBe(4_000);
    await expect(blobs.upload('lab', zeros(2), 1_001, 0)).rejects.toThrow(
      'Cannot take 1001 B of input files: the namespace "lab" has used 3.9 KiB of its 4.9 KiB',
    );
    const other = await blobs.upload('other', zeros(2), 1_001, 0);
    await other.close();
    await upload.write(0, Buffer.alloc(300));
    await upload.close();
    expect(used()).toBe(300);
    // A new head counts what is left of it.
    const again = new InputUsage(() => quota);
    await new BlobStore(folder, systemClock, again).start();
    expect(again.used('lab')?.bytes).toBe(300);
  });

  it('counts content once, however often it is put, and no longer when it is dropped', async () => {
    const hash = await put('lab', 'x'.repeat(2_000));
    await put('lab', 'x'.repeat(2_000));
    await expect(put('lab', 'x'.repeat(10), zeros(3))).rejects.toThrow('another hash');
    expect(used()).toBe(2_000);
    const again = new InputUsage(() => quota);
    await new BlobStore(folder, systemClock, again).start();
    expect(again.used('LAB')?.bytes).toBe(2_000);
    blobs.beginRound();
    blobs.dropHold('lab', hash);
    expect(used()).toBe(0);
  });

  it('keeps nothing of a second upload of the same content that is cut off', async () => {
    const first = await blobs.upload('lab', zeros(1), 100, 0);
    const second = await blobs.upload('lab', zeros(1), 100, 0);
    await second.write(0, Buffer.alloc(50));
    expect(await readdir(join(folder, 'parts/lab'))).toHaveLength(2);
    await second.close();
    expect(await readdir(join(folder, 'parts/lab'))).toHaveLength(1);
    await first.close();
    expect(used()).toBe(0);
  });
});
