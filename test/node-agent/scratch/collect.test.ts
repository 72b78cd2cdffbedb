import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, linkSync, mkdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import type { Collected } from '../../../node-agent/ports.ts';
import { collect, type SweepOrder } from '../../../node-agent/scratch/collect.ts';
import { FileHashes } from '../../../node-agent/scratch/file-hashes.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const isRoot = process.getuid?.() === 0;
const mega = 2 ** 20;

/** An archive and a working folder, and their sweep. */
function aSweep(facts: Partial<SweepOrder> = {}) {
  const root = scratchFolder();
  const [archive, work] = [join(root, 'archive'), join(root, 'work')];
  for (const folder of [archive, work]) mkdirSync(folder);
  const hashes = new FileHashes();
  onTestFinished(() => hashes.close());
  const order: SweepOrder = {
    archive,
    work,
    snapshot: join(root, 'snapshot'),
    patterns: [],
    expect: [],
    owner: undefined,
    holesMaxBytes: 10 * mega,
    clock: systemClock,
    ...facts,
  };
  return { root, archive, work, sweep: () => collect(order, hashes) };
}

describe('what no disk holds', () => {
  it('is kept up to a limit: beyond it holes are left out and named, at once', async () => {
    const { archive, sweep } = aSweep();
    for (const [name, bytes] of [
      ['a-small', 6 * mega],
      ['b-too-much', 6 * mega],
      ['c-huge', 2 ** 40],
      ['d-fits', 3 * mega],
    ] as const) {
      writeFileSync(join(archive, name), 'begin');
      truncateSync(join(archive, name), bytes);
    }
    writeFileSync(join(archive, 'e-real'), Buffer.alloc(20 * mega, 1));
    const sinceMs = performance.now();
    const collected = await sweep();
    expect(performance.now() - sinceMs).toBeLessThan(5_000);
    expect(paths(collected)).toEqual(['a-small', 'd-fits', 'e-real']);
    expect(collected.problems).toHaveLength(2);
    expect(collected.problems[1]).toMatch(
      /^Cannot archive "c-huge": it is 1\.0 TiB long, takes 4\.0 KiB of disk; beyond 10\.0 MiB .*limits\.holes.*tar -S/,
    );
    const small = Buffer.alloc(6 * mega);
    small.write('begin');
    expect(collected.files[0]?.hash).toBe(hashBytes(small));
  });

  it('is also what a file claims under its further names', async () => {
    const { archive, sweep } = aSweep();
    writeFileSync(join(archive, 'name-1'), Buffer.alloc(6 * mega, 1));
    for (const name of ['name-2', 'name-3', 'name-4']) linkSync(join(archive, 'name-1'), join(archive, name));
    const collected = await sweep();
    expect(paths(collected)).toEqual(['name-1', 'name-2']);
    expect(collected.problems).toHaveLength(2);
    expect(collected.problems[0]).toMatch(/^Cannot archive "name-3": .* and has 4 names; beyond 10\.0 MiB/);
    expect(new Set(collected.files.map(({ hash }) => hash))).toEqual(new Set([hashBytes(Buffer.alloc(6 * mega, 1))]));
  });
});

describe('more files than an archive may have', () => {
  it('are left out and named, and the others are kept', async () => {
    const { archive, work, sweep } = aSweep({ entriesMax: 10, patterns: ['*.dat'] });
    for (let at = 0; at < 8; at++) writeFileSync(join(archive, `f${at}`), '');
    for (let at = 0; at < 8; at++) writeFileSync(join(work, `g${at}.dat`), '');
    const chosen = await sweep();
    expect(paths(chosen)).toHaveLength(10);
    expect(chosen.problems).toEqual(['Cannot archive "g2.dat": an archive has at most 10 files and folders']);
    for (let at = 8; at < 200; at++) writeFileSync(join(archive, `f${at}`), '');
    const archived = await sweep();
    expect(paths(archived)).toHaveLength(10);
    expect(archived.problems[0]).toMatch(/^Cannot archive "\.": the walk ended here, at 10 files and folders/);
  });
});

describe('what changes between the look and the hash', () => {
  it('is left out and named', async () => {
    const { archive } = aSweep();
    writeFileSync(join(archive, 'grown'), 'x'.repeat(100));
    const hashes = new FileHashes();
    onTestFinished(() => hashes.close());
    const of = (name: string, sizeBytes: number) => ({ path: join(archive, name), sizeBytes });
    const [grown, gone, right] = await hashes.of([of('grown', 50), of('gone', 5), of('grown', 100)]);
    expect(grown).toMatchObject({ code: 'unreadable', message: 'it changed while it was looked at' });
    expect(gone).toMatchObject({ code: 'unreadable', message: expect.stringContaining('ENOENT') });
    expect(right).toBe(hashBytes('x'.repeat(100)));
  });
});

describe('a hashing worker that goes', () => {
  it('says nothing about the files: they are asked for again', async () => {
    const { archive } = aSweep();
    const path = join(archive, 'endless');
    writeFileSync(path, '');
    truncateSync(path, 2 ** 42); // a hole that takes hours to read
    const hashes = new FileHashes();
    const found = Promise.allSettled([hashes.of([{ path, sizeBytes: 2 ** 42 }])]);
    await hashes.close();
    expect(await found).toMatchObject([{ reason: { name: 'Fault', code: 'no-room' } }]);
  });
});

describe('what a job expects', () => {
  it('is not there when it lies behind a link that leads out, or cannot be asked for', async () => {
    const paths = ['out/file', '../outside/file', 'loop/file', 'in/file', `${'n'.repeat(300)}/x`, 'inner/file'];
    const { root, work, sweep } = aSweep({ expect: paths });
    for (const folder of ['outside', 'work/real']) mkdirSync(join(root, folder));
    for (const file of ['outside/file', 'work/real/file']) writeFileSync(join(root, file), 'x');
    for (const [target, name] of [
      [join(root, 'outside'), 'out'],
      ['loop', 'loop'],
      ['real', 'in'],
    ] as const)
      execFileSync('ln', ['-s', target, join(work, name)]);
    const { missing } = await sweep();
    expect(missing).toEqual(paths.filter((path) => path !== 'in/file'));
  });
});

describe.runIf(isRoot)('for the account of another', () => {
  it('nothing is kept that this account may not read: hard links, what was moved in, closed folders', async () => {
    const nobody = { uid: 65_534, gid: 65_534 };
    const { root, archive, work, sweep } = aSweep({ owner: nobody, patterns: ['linked.dat'] });
    for (const folder of [archive, work]) chownSync(folder, nobody.uid, nobody.gid);
    const secret = (name: string) => {
      writeFileSync(join(root, name), 'SECRET', { mode: 0o600 });
      return join(root, name);
    };
    linkSync(secret('s1'), join(archive, 'linked'));
    linkSync(join(root, 's1'), join(work, 'linked.dat'));
    renameSync(secret('s2'), join(archive, 'moved'));
    mkdirSync(join(archive, 'closed'), { mode: 0o700 });
    writeFileSync(join(archive, 'closed', 'file'), 'SECRET');
    writeFileSync(join(archive, 'public'), 'for all');
    writeFileSync(join(archive, 'own'), 'own');
    chownSync(join(archive, 'own'), nobody.uid, nobody.gid);
    chmodSync(join(archive, 'own'), 0o600);
    const collected = await sweep();
    expect(paths(collected)).toEqual(['own', 'public']);
    expect(collected.problems).toHaveLength(4);
    for (const problem of collected.problems) expect(problem).toContain('belongs to another account');
  });
});

function paths(collected: Collected): readonly string[] {
  return collected.files.map(({ path }) => path);
}
