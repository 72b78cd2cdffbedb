import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { inputPath, readBackupFacts } from '../../../head/backup/backup-file.ts';
import { checkBackup, restoreBackup } from '../../../head/backup/restore.ts';
import { HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { mountSmallDisk } from '../../kit/small-disk.ts';
import { aGroup, aSpec } from '../../kit/spec.ts';

const input = Buffer.from('what every job reads\n');

/** A batch whose jobs need `input`. */
function aBatch(name: string, namespace = 'lab') {
  const hash = hashBytes(input);
  const sources = { data: [{ kind: 'file' as const, path: '', hash, sizeBytes: input.length, mode: 0o644 }] };
  return aSpec({ name, namespace, sources, groups: [aGroup({ inputs: [] })] });
}

/** A head that serves on `head/` of a new folder. */
async function aHead(): Promise<{ world: HeadWorld; folder: string }> {
  const folder = scratchFolder();
  const world = await HeadWorld.open(join(folder, 'head'));
  onTestFinished(() => world.close());
  for (const namespace of ['lab', 'other']) await world.put(namespace, input);
  return { world, folder };
}

async function restored(folder: string): Promise<HeadWorld> {
  await restoreBackup(join(folder, 'copy'), join(folder, 'new'), undefined, systemClock);
  const world = await HeadWorld.on(join(folder, 'new'));
  onTestFinished(() => world.close());
  return world;
}

describe('a backup', () => {
  it('holds every batch that was taken before it began, with its inputs, while others keep coming', async () => {
    const { world, folder } = await aHead();
    await world.submit(aBatch('before'));
    await world.submit(aBatch('elsewhere', 'other'));
    let stop = false;
    const flood = (async () => {
      for (let at = 0; !stop; at++) await world.submit(aBatch(`during-${at}`));
    })();
    await world.backup(join(folder, 'copy'));
    stop = true;
    await flood;
    const facts = await checkBackup(join(folder, 'copy'));
    expect(facts.clusterId).toBe(world.head.clusterId);

    const again = await restored(folder);
    expect(again.head.clusterId).toBe(world.head.clusterId);
    expect(await again.get('before')).toMatchObject({ state: 'queued' });
    const agent = await new LinkAgent(again.head.address, 'n1').connected();
    onTestFinished(() => agent.close());
    await agent.hear('assign', ({ batch }) => batch === 'before');
    // Both namespaces have put the content, as before: neither has to send it again.
    // Those that came later are in the archive alone, which is said.
    expect(again.complaints.filter((text) => !text.includes('has no memory of (lab/during-'))).toEqual([]);
    for (const namespace of ['lab', 'other'])
      expect(existsSync(join(folder, 'new/blobs/holds', namespace, hashBytes(input).slice(7)))).toBe(true);
    expect(
      readFileSync(join(folder, 'new/blobs/content', hashBytes(input).slice(7, 9), hashBytes(input).slice(7))),
    ).toEqual(input);
  });

  it('is made in its folder by one at a time: another that is begun just then spoils nothing', async () => {
    const { world, folder } = await aHead();
    await world.submit(aBatch('one'));
    const [one, other] = await Promise.allSettled([1, 2].map(() => world.backup(join(folder, 'copy'))));
    expect([one?.status, other?.status].sort()).toEqual(['fulfilled', 'rejected']);
    expect(await checkBackup(join(folder, 'copy'))).toMatchObject({ clusterId: world.head.clusterId });
    expect(readdirSync(join(folder, 'copy')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('shares the bytes of inputs on the same disk, and is closed to others', async () => {
    const { world, folder } = await aHead();
    await world.submit(aBatch('one'));
    mkdirSync(join(folder, 'copy'), { mode: 0o755 });
    await world.backup(join(folder, 'copy'));
    expect(statSync(inputPath(join(folder, 'copy'), hashBytes(input))).nlink).toBe(2);
    expect(statSync(join(folder, 'copy')).mode & 0o777).toBe(0o700);
    for (const name of ['database', 'pki/authority.key', 'backup.json'])
      expect(statSync(join(folder, 'copy', name)).mode & 0o077, name).toBe(0);
  });

  it('goes into an empty folder only, and leaves what is in another alone', async () => {
    const { world, folder } = await aHead();
    mkdirSync(join(folder, 'copy'));
    writeFileSync(join(folder, 'copy/mine'), '');
    await expect(world.backup(join(folder, 'copy'))).rejects.toThrow('it is not empty');
    await expect(world.backup(join(folder, 'copy/mine'))).rejects.toThrow('it is no folder');
    await expect(world.backup('copy')).rejects.toThrow('name a whole path');
    expect(readdirSync(join(folder, 'copy'))).toEqual(['mine']);
  });

  it('names an input that is gone instead of failing', async () => {
    const { world, folder } = await aHead();
    await world.submit(aBatch('one'));
    const hash = hashBytes(input).slice('blake3:'.length);
    rmSync(join(folder, 'head/blobs/content', hash.slice(0, 2), hash));
    await world.backup(join(folder, 'copy'));
    const { inputFiles } = await restoreBackup(join(folder, 'copy'), join(folder, 'new'), undefined, systemClock);
    expect(inputFiles).toBe(1); // the spec
  });
});

itWith('small disk')('of which the disk is too small leaves nothing on it, and the head goes on', async () => {
  const { world, folder } = await aHead();
  const big = Buffer.alloc(6 * 2 ** 20, 'x');
  await world.put('lab', big);
  const entry = { kind: 'file' as const, path: '', hash: hashBytes(big), sizeBytes: big.length, mode: 0o644 };
  await world.submit(aSpec({ name: 'big', sources: { data: [entry] } }));
  const disk = mountSmallDisk(join(folder, 'disk'), 4 * 2 ** 20);
  onTestFinished(() => disk.remove());
  await expect(world.backup(join(folder, 'disk'))).rejects.toThrow(/Cannot make a backup in .*disk is full/);
  expect(readdirSync(join(folder, 'disk'))).toEqual([]);
  await world.submit(aBatch('after'));
});

describe('a restore', () => {
  it('refuses a backup of which any byte has changed, and leaves nothing behind', async () => {
    const { world, folder } = await aHead();
    await world.submit(aBatch('one'));
    const copy = join(folder, 'copy');
    await world.backup(copy);
    const files = readdirSync(copy, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'backup.json')
      .map((entry) => join(entry.parentPath, entry.name));
    expect(files.length).toBeGreaterThan(6);
    for (const path of files) {
      const bytes = readFileSync(path);
      const flipped = Buffer.from(bytes);
      flipped[flipped.length >>> 1] = (flipped[flipped.length >>> 1] ?? 0) ^ 1;
      rmSync(path); // it may share its bytes with the head's own
      writeFileSync(path, flipped);
      await expect(restoreBackup(copy, join(folder, 'new'), undefined, systemClock), path).rejects.toThrow(/^Cannot /);
      expect(readdirSync(join(folder, 'new')), path).toEqual([]);
      writeFileSync(path, bytes);
    }
    await restoreBackup(copy, join(folder, 'new'), undefined, systemClock);
  });

  it('refuses a folder that is not empty, and one that is no finished backup', async () => {
    const { world, folder } = await aHead();
    await world.backup(join(folder, 'copy'));
    await expect(restoreBackup(join(folder, 'copy'), join(folder, 'head'), undefined, systemClock)).rejects.toThrow(
      'it is not empty',
    );
    rmSync(join(folder, 'copy/backup.json'));
    await expect(restoreBackup(join(folder, 'copy'), join(folder, 'new'), undefined, systemClock)).rejects.toThrow(
      'it holds no finished backup',
    );
  });

  it('refuses a backup that a newer labrun made', async () => {
    const { world, folder } = await aHead();
    await world.backup(join(folder, 'copy'));
    const path = join(folder, 'copy/backup.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"format": 1', '"format": 2'));
    await expect(readBackupFacts(join(folder, 'copy'))).rejects.toThrow('a newer labrun');
  });

  it('points at the archive where it was, or where it is said to be', async () => {
    const { world, folder } = await aHead();
    await world.backup(join(folder, 'copy'));
    const copy = join(folder, 'copy');
    const there = await restoreBackup(copy, join(folder, 'new'), undefined, systemClock);
    expect(there).toMatchObject({ archiveFolder: join(folder, 'head/archive'), archiveIsThere: true });
    expect(readFileSync(join(folder, 'new/head.yaml'), 'utf8')).toContain(`archive: "${join(folder, 'head/archive')}"`);
    const moved = await restoreBackup(copy, join(folder, 'newer'), join(folder, 'elsewhere'), systemClock);
    expect(moved).toMatchObject({ archiveFolder: join(folder, 'elsewhere'), archiveIsThere: false });
  });
});
