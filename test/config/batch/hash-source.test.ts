import { execFileSync } from 'node:child_process';
import { appendFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { hashSource } from '../../../config/batch/hash-source.ts';
import { SourceError } from '../../../config/batch/scan-source.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

describe('hashing an input', () => {
  it('gives its content, size and time', async () => {
    const path = join(scratchFolder(), 'a');
    writeFileSync(path, 'x'.repeat(2_500_000));
    utimesSync(path, 1_000, 1_000);
    expect(await hashSource(path, 'a', () => undefined, undefined)).toEqual({
      path,
      hash: hashBytes('x'.repeat(2_500_000)),
      sizeBytes: 2_500_000,
      mtimeMs: 1_000_000,
    });
    writeFileSync(path, '');
    expect(await hashSource(path, 'a', () => undefined, undefined)).toMatchObject({
      hash: hashBytes(''),
      sizeBytes: 0,
    });
  });

  it('refuses a file that grows while it is read', async () => {
    const path = join(scratchFolder(), 'a');
    writeFileSync(path, 'x'.repeat(2_500_000));
    let grown = false;
    const grow = () => {
      if (!grown) appendFileSync(path, 'y');
      grown = true;
    };
    await expect(hashSource(path, 'case/a', grow, undefined)).rejects.toThrow(
      new SourceError('"case/a" changed while it was read; submit again when nothing writes to it'),
    );
  });

  it('refuses a file that is rewritten at the same size', async () => {
    const path = join(scratchFolder(), 'a');
    writeFileSync(path, 'x'.repeat(2_500_000));
    utimesSync(path, 1_000, 1_000);
    const rewrite = () => writeFileSync(path, 'y'.repeat(2_500_000));
    await expect(hashSource(path, 'a', rewrite, undefined)).rejects.toThrow('changed while it was read');
  });

  it('says so when the file has gone', async () => {
    const path = join(scratchFolder(), 'a');
    rmSync(path, { force: true });
    await expect(hashSource(path, 'a', () => undefined, undefined)).rejects.toBeInstanceOf(SourceError);
  });

  it('gives up on a file that somebody appends to without end, and waits for no FIFO', async () => {
    const path = join(scratchFolder(), 'endless');
    writeFileSync(path, 'x'.repeat(3_000_000));
    let [reads, bytes] = [0, 0];
    const append = (count: number) => {
      reads++;
      bytes += count;
      appendFileSync(path, 'y'.repeat(2_000_000));
      utimesSync(path, 1, 1);
    };
    await expect(hashSource(path, 'endless', append, undefined)).rejects.toThrow('changed while it was read');
    expect(bytes).toBeLessThan(5_000_000);
    expect(reads).toBeGreaterThan(1);
    rmSync(path);
    execFileSync('mkfifo', [path]);
    await expect(hashSource(path, 'endless', () => undefined, undefined)).rejects.toThrow(
      '"endless" cannot be read: it is a FIFO, no file',
    );
  }, 5_000);
});
