import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { removeGuarded } from '../../../base/transfer/remove-guarded.ts';
import { diskUse } from '../../../node-agent/machine/disk-use.ts';
import { makeDeepTree } from '../../kit/deep-tree.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const enough = { entriesMax: 10_000, enoughBytes: Number.MAX_SAFE_INTEGER };

describe('measuring a tree', () => {
  it('counts what is on the disk, once: no holes, and no further names', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'inner'));
    writeFileSync(join(folder, 'inner', 'file'), Buffer.alloc(2 ** 20, 1));
    linkSync(join(folder, 'inner', 'file'), join(folder, 'again'));
    execFileSync('truncate', ['-s', '1T', join(folder, 'sparse')]);
    const bytes = await diskUse(folder, enough);
    expect(bytes).toBeGreaterThanOrEqual(2 ** 20);
    expect(bytes).toBeLessThan(1.1 * 2 ** 20);
  });

  it('ends in a tree that is deeper than a path may be long', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'deep'));
    onTestFinished(() => removeGuarded(join(folder, 'deep')));
    makeDeepTree(join(folder, 'deep'), 600);
    expect(await diskUse(folder, enough)).toBeGreaterThan(300 * 4_096);
  }, 20_000);

  it('looks at no more entries than it is told', async () => {
    const folder = scratchFolder();
    for (let count = 0; count < 50; count++) writeFileSync(join(folder, String(count)), Buffer.alloc(4_096, 1));
    expect(await diskUse(folder, { ...enough, entriesMax: 10 })).toBe(10 * 4_096);
  });
});
