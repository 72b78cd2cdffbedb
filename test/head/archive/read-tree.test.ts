import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { logPath, manifestLine } from '../../../base/transfer/manifest.ts';
import { treeEntries } from '../../../head/archive/read-tree.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const line = (path: string, sizeBytes = 1) =>
  manifestLine({ kind: 'file', path, sizeBytes, mode: 0o644, hash: hashBytes(path) });

/** A job's folder with these files, each of one byte, and a manifest of these. */
function aFolder(files: readonly string[], listed: readonly string[]): string {
  const folder = scratchFolder();
  for (const path of [...files, '.labrun/meta.json', logPath]) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), 'x');
  }
  writeFileSync(join(folder, '.labrun/manifest'), [...listed, logPath].map((path) => line(path)).join(''));
  return folder;
}

async function hashesIn(folder: string, block?: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { kind, path, hash } of treeEntries(folder, block)) {
    if (kind !== 'folder' && !path.endsWith('.json') && !path.endsWith('manifest')) found.set(path, hash);
  }
  return found;
}

it('tells the hash of every file that the manifest lists, whatever its order, and of no other', async () => {
  const path = fc.stringMatching(/^[a-d]{1,2}(\/[a-dé]{1,2}){0,2}$/).map((text) => text.replaceAll('/', '.d/'));
  const some = fc.uniqueArray(path, { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(some, some, fc.integer({ min: 1, max: 12 }), async (files, others, block) => {
      const listed = [...others, ...files.filter((_, at) => at % 3 > 0)].filter(
        (one, at, all) => all.indexOf(one) === at,
      );
      const found = await hashesIn(aFolder(files, listed), block);
      const expected = files.map((file) => [file, listed.includes(file) ? hashBytes(file) : ''] as const);
      expect(new Map([...found].sort())).toEqual(new Map([...expected, [logPath, hashBytes(logPath)] as const].sort()));
    }),
    { numRuns: 40 },
  );
});

it('tells no hash of a file that has another size than is listed, nor behind where a manifest is damaged', async () => {
  const folder = aFolder(['a', 'b', 'c'], []);
  writeFileSync(join(folder, '.labrun/manifest'), `${line('a')}${line('b', 2)}no line of ours\n${line('c')}`);
  const found = await hashesIn(folder);
  expect([found.get('a'), found.get('b'), found.get('c')]).toEqual([hashBytes('a'), '', '']);
});

it('holds little of a long manifest, though the tree has few of its files, and some that it lacks', async () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const usedBytes = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const name = (at: number) =>
    `results/part-${at % 100}/a-rather-long-name-of-a-file-${String(at).padStart(6, '0')}.dat`;
  const folder = aFolder(
    Array.from({ length: 600 }, (_, at) => name(at * 160)), // those beyond the last are not listed
    Array.from({ length: 95_000 }, (_, at) => name(at)),
  );
  const beforeBytes = usedBytes();
  let [most, count, hashed] = [0, 0, 0];
  for await (const { kind, hash } of treeEntries(folder, 200)) {
    if (count++ % 100 === 0) most = Math.max(most, usedBytes() - beforeBytes);
    if (kind === 'file' && hash !== '') hashed += 1;
  }
  expect(hashed).toBe(Math.ceil(95_000 / 160) + 1); // and the log
  // All of its hashes together take 14 MB.
  expect(most).toBeLessThan(8 * 2 ** 20);
});
