import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { type ManifestEntry, manifestLine, readManifest, stagedPathOf } from '../../../base/transfer/manifest.ts';

const hash = hashBytes('x');
const file = (path: string): ManifestEntry => ({ kind: 'file', path, sizeBytes: 1, mode: 0o644, hash });

async function read(text: string, cut = 7): Promise<ManifestEntry[]> {
  const bytes = Buffer.from(text);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += cut) chunks.push(bytes.subarray(at, at + cut));
  const entries: ManifestEntry[] = [];
  for await (const entry of readManifest(chunks)) entries.push(entry);
  return entries;
}

describe('a manifest', () => {
  it('comes back as it was written, however it is cut into chunks', async () => {
    const entries: ManifestEntry[] = [
      { kind: 'folder', path: 'results', mode: 0o755 },
      file('results/ä.csv'),
      { kind: 'link', path: 'latest', target: '../elsewhere' },
      file('.labrun/log'),
    ];
    const text = entries.map(manifestLine).join('');
    for (const cut of [1, 7, 1000]) expect(await read(text, cut)).toEqual(entries);
  });

  it('refuses paths that leave the folder, come twice, or lie under a file', async () => {
    const refusals: readonly (readonly [ManifestEntry[], RegExp])[] = [
      [[file('../x')], /leaves its folder/],
      [[file('/x')], /absolute/],
      [[file('a'), file('a')], /again/],
      [[file('a'), file('a/b')], /under "a", which is a file/],
      [[file('a/b'), file('a')], /lists the folder "a" as a file/],
      [[{ kind: 'link', path: 'a', target: '/etc' }, file('a/b/c')], /under "a", which is a link/],
      [[file('.labrun/manifest')], /kept for labrun/],
      [[file('.LABRUN/log')], /kept for labrun/],
      [[{ kind: 'folder', path: '.labrun', mode: 0o755 }], /kept for labrun/],
    ];
    for (const [entries, problem] of refusals) {
      await expect(read(entries.map(manifestLine).join(''))).rejects.toThrow(problem);
    }
  });

  it('refuses lines that are cut off, no JSON, or without their facts', async () => {
    const line = manifestLine(file('a'));
    await expect(read(line.slice(0, -1))).rejects.toThrow(/cut off/);
    await expect(read('{\n')).rejects.toThrow(/line 1 is not JSON/);
    await expect(read(line.replace('"size":1', '"size":-1'))).rejects.toThrow(/size or hash/);
    await expect(read(line.replace('blake3:', 'md5:'))).rejects.toThrow(/size or hash/);
    await expect(read(line.replace('"mode":420', '"mode":99999'))).rejects.toThrow(/permission/);
    await expect(read('x'.repeat(40_000), 40_000)).rejects.toThrow(/over 32768 bytes/);
  });

  it('takes a folder after what is in it', async () => {
    const entries: ManifestEntry[] = [file('a/b'), { kind: 'folder', path: 'a', mode: 0o700 }];
    expect(await read(entries.map(manifestLine).join(''))).toEqual(entries);
  });

  it('names the log and the archive as they travel', () => {
    expect([stagedPathOf('.labrun/log'), stagedPathOf('out/a')]).toEqual(['log', 'archive/out/a']);
  });
});
