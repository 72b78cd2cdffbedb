import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { removeGuarded } from '../../../base/transfer/remove-guarded.ts';
import { removeTree } from '../../../node-agent/scratch/remove-tree.ts';
import { makeDeepTree } from '../../kit/deep-tree.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

describe.each([
  ['removing a tree', removeTree],
  ['removing a tree that others may change', removeGuarded],
])('%s', (_name, remove) => {
  it('removes one that is deeper than a path may be long', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'deep'));
    makeDeepTree(join(folder, 'deep'), 3_000);
    await remove(join(folder, 'deep'));
    expect(readdirSync(folder)).toEqual([]);
  }, 30_000);

  it('removes wide ones, odd names, read-only and closed folders, and what is called like its own names', async () => {
    const folder = scratchFolder();
    const at = (...parts: string[]) => join(folder, 'tree', ...parts);
    for (const path of ['a/b/c', 'wide', 'closed/inner', '.labrun-gone-0/full', 'x/.labrun-gone-1/y/z'])
      mkdirSync(at(path), { recursive: true });
    for (let count = 0; count < 3_000; count++) writeFileSync(at('wide', String(count)), '');
    for (const path of ['a/b/c/file', '.labrun-gone-0/full/file', '.labrun-gone-2', 'x/.labrun-gone-1/y/z/file'])
      writeFileSync(at(path), '');
    writeFileSync(Buffer.concat([Buffer.from(`${at('a/b')}/`), Buffer.from([0x66, 0xff, 0xfe])]), '');
    chmodSync(at('a/b'), 0o500);
    chmodSync(at('closed'), 0o000);
    await remove(join(folder, 'tree'));
    await remove(join(folder, 'tree')); // it may be repeated
    expect(readdirSync(folder)).toEqual([]);
  });

  it('follows no link, neither below nor in the place of the tree', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'precious'));
    writeFileSync(join(folder, 'precious', 'file'), 'x');
    mkdirSync(join(folder, 'tree', 'deep'), { recursive: true });
    for (const link of ['tree/out', 'tree/deep/out', 'instead'])
      symlinkSync(join(folder, 'precious'), join(folder, link));
    await remove(join(folder, 'tree'));
    await remove(join(folder, 'instead'));
    expect(readdirSync(folder)).toEqual(['precious']);
    expect(existsSync(join(folder, 'precious', 'file'))).toBe(true);
  });
});

it('removes nothing elsewhere, however fast folders of the tree are swapped for links', async () => {
  const folder = scratchFolder();
  const precious = join(folder, 'precious');
  const names = Array.from({ length: 20 }, (_, at) => `f${at}`);
  mkdirSync(precious);
  for (const name of names) writeFileSync(join(precious, name), 'x');
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  // Makes the folders that are removed again and again, and puts links in their place.
  const program = `
    const fs = require('node:fs');
    const [tree, precious, aside] = process.argv.slice(1);
    fs.mkdirSync(aside);
    const attempt = (work) => { try { work(); } catch {} };
    for (let turn = 0; ; turn++) {
      const folder = tree + '/' + (turn % 4);
      attempt(() => fs.mkdirSync(folder));
      for (let at = 0; at < 20; at++) attempt(() => fs.writeFileSync(folder + '/f' + at, 'y'));
      attempt(() => fs.renameSync(folder, aside + '/' + turn));
      attempt(() => fs.symlinkSync(precious, folder));
      if (turn === 0) process.stdout.write('swapping');
      attempt(() => fs.unlinkSync(folder));
      attempt(() => fs.renameSync(aside + '/' + turn, folder));
    }`;
  const child = spawn(process.execPath, ['-e', program, tree, precious, join(folder, 'aside')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  let removed = 0;
  for (let round = 0; round < 300; round++) {
    // It may come back before it is gone for good: somebody else has made it anew then.
    await removeGuarded(tree).catch((error) => expect(String(error)).toMatch(/ENOTEMPTY/));
    if (!existsSync(tree)) removed++;
    mkdirSync(tree, { recursive: true });
  }
  child.kill('SIGKILL');
  await ended;
  expect(readdirSync(precious).sort()).toEqual(names.sort());
  expect(removed).toBeGreaterThan(0);
}, 60_000);
