import { closeSync, constants, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { chunksOfKept } from '../../../base/transfer/chunk.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import type { Collected } from '../../../node-agent/ports.ts';
import { collect } from '../../../node-agent/scratch/collect.ts';
import { FileHashes } from '../../../node-agent/scratch/file-hashes.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { own, secret, secretName, startSwapper } from '../../kit/swapper.ts';

it('no byte and no name from outside arrives, however fast files and folders are swapped for links and FIFOs', async () => {
  const root = scratchFolder();
  const work = join(root, 'work');
  const archive = join(work, 'archive');
  const hashes = new FileHashes();
  onTestFinished(() => hashes.close());
  mkdirSync(work);
  await startSwapper(archive, root);
  const patterns = { work, patterns: ['archive/**', 'archive/folder/file'], snapshot: join(root, 'snapshot') };
  let [kept, refused, byFile, byFolder] = [0, 0, 0, 0];
  // Until each has happened; a time limit ends it if one never does.
  for (let round = 0; round < 300 || [kept, refused, byFile, byFolder].includes(0); round++) {
    const order = { archive, expect: [], owner: undefined, holesMaxBytes: 0, clock: systemClock, ...patterns };
    const collected = await collect(round % 2 === 0 ? order : { ...order, patterns: [] }, hashes);
    for (const { path, hash } of collected.files) {
      expect(path).not.toContain(secretName);
      expect(hash).not.toBe(hashBytes(secret));
    }
    expect(collected.problems.join('\n')).not.toContain(secretName);
    for (const text of await arrivals(collected)) {
      if (text === undefined) refused++;
      else if (text === own) kept++;
      else expect(text).toBe('what the job wrote');
    }
    // That the bait works is shown by who would take it.
    if (carelessly(join(archive, 'file'), 0) === secret) byFile++;
    if (carelessly(join(archive, 'folder/file'), constants.O_NOFOLLOW) === secret) byFolder++;
  }
}, 60_000);

/** What would be sent of each file; nothing where that is refused. */
function arrivals(collected: Collected): Promise<(string | undefined)[]> {
  const files = collected.files.filter(({ kind }) => kind === 'file');
  return Promise.all(
    files.map(async ({ source, sizeBytes }) => {
      try {
        const chunks: Buffer[] = [];
        for await (const { data } of chunksOfKept({ path: source }, 0, sizeBytes)) chunks.push(data);
        return Buffer.concat(chunks).toString();
      } catch (error) {
        expect(String(error)).toMatch(/Cannot read|ENOENT|ENOTDIR/);
        return undefined;
      }
    }),
  );
}

/** Reads as one would who thinks of nothing, but for FIFOs. */
function carelessly(path: string, flags: number): string | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | flags);
    try {
      return readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined; // it was something else just then
  }
}
