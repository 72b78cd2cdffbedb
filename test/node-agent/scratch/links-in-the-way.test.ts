import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BatchSpec, SourceEntry } from '../../../config/spec.ts';
import { copyTree } from '../../../node-agent/scratch/copy-tree.ts';
import { closeFolders, findAccount } from '../../../node-agent/scratch/run-as.ts';
import { aBatchSpec, aJobOrder, noNeeds } from '../../kit/a-job-order.ts';
import { aWorkspace, type WorkspaceKit } from '../../kit/a-workspace.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { startSwapper } from '../../kit/swapper.ts';
import { tree } from '../../kit/trees.ts';

const script = (text: string) => ({ kind: 'command' as const, run: { kind: 'script' as const, text } });
const build = (text: string) => ({ runtime: script(text), inputs: [], needs: noNeeds, timeLimitMs: 0 });
const never = new AbortController().signal;
const isRoot = process.getuid?.() === 0;

/** A workspace beside a folder that nothing may change. */
async function besidePrecious(): Promise<{ kit: WorkspaceKit; precious: string; untouched: () => void }> {
  const root = realpathSync(scratchFolder());
  const precious = join(root, 'precious');
  mkdirSync(join(precious, 'inner'), { recursive: true });
  writeFileSync(join(precious, 'file'), 'precious {{x}}');
  chmodSync(precious, 0o750);
  const kit = await aWorkspace(root);
  const untouched = () => {
    expect(readdirSync(precious).sort()).toEqual(['file', 'inner']);
    expect(readdirSync(join(precious, 'inner'))).toEqual([]);
    expect(readFileSync(join(precious, 'file'), 'utf8')).toBe('precious {{x}}');
    expect(statSync(precious).mode & 0o777).toBe(0o750);
  };
  return { kit, precious, untouched };
}

describe('laying out', () => {
  it('goes through no link of the build out of the working folder', async () => {
    const { kit, precious, untouched } = await besidePrecious();
    const spec = (as: string, text = `ln -s ${precious} evil`) =>
      aBatchSpec(
        { inputs: [{ source: 'f', as }], runtime: script('true') },
        { build: build(text), sources: { f: [kit.blobs.file('input')] } },
      );
    for (const as of ['evil/file', 'evil/new', 'evil/inner/new', 'evil/more/deep/new']) {
      await expect(kit.run(aJobOrder(spec(as))), as).rejects.toMatchObject({
        code: 'invalid-input',
        message: expect.stringContaining('leads out'),
      });
      untouched();
    }
    // Its own links serve as before, and the link itself may be replaced.
    const inside = aJobOrder(spec('short/f', 'mkdir long; ln -s long short'));
    await kit.run(inside);
    expect(readFileSync(join(kit.workspace.homeOf(inside.id), 'work/long/f'), 'utf8')).toBe('input');
    const instead = aJobOrder(spec('evil'));
    await kit.run(instead);
    expect(readFileSync(join(kit.workspace.homeOf(instead.id), 'work/evil'), 'utf8')).toBe('input');
    untouched();
  });

  it('goes through no link among the inputs themselves', async () => {
    const { kit, precious, untouched } = await besidePrecious();
    const link = (path: string, target: string): SourceEntry => ({ kind: 'link', path, target });
    const folder = (path: string): SourceEntry => ({ kind: 'folder', path, mode: 0o777 });
    const layouts: Record<string, SourceEntry[]> = {
      'a link behind a link': [link('a', precious), link('a/file', '/nowhere')],
      'a folder that a link replaces': [folder('a'), link('a', precious)],
    };
    for (const [what, entries] of Object.entries(layouts)) {
      const order = aJobOrder(aBatchSpec({ inputs: [{ source: 's', as: 'x' }] }, { sources: { s: entries } }));
      await kit.workspace.prepare(order, undefined, never).catch((error) => {
        expect(error, what).toMatchObject({ code: 'invalid-input' });
      });
      untouched();
    }
    const facts: Partial<BatchSpec> = { sources: { s: [link('t', join(precious, 'file'))] } };
    const group = {
      inputs: [{ source: 's', as: 'x' }],
      templates: ['x/t'],
      matrix: { axes: [{ name: 'x', values: ['1'] }] },
    };
    await expect(kit.workspace.prepare(aJobOrder(aBatchSpec(group, facts)), undefined, never)).rejects.toThrow(
      'leads out',
    );
    untouched();
  });

  it('takes no files from outside for a python job whose build made a link of their folder', async () => {
    const { kit, precious, untouched } = await besidePrecious();
    const main = kit.blobs.file('print(1)');
    const runtime = { kind: 'python' as const, script: { source: 'main.py', as: 'main.py' } };
    const spec = aBatchSpec(
      { runtime },
      { build: build(`rm -rf initial_files; ln -s ${precious} initial_files`), sources: { 'main.py': [main] } },
    );
    await expect(kit.run(aJobOrder(spec))).rejects.toMatchObject({ code: 'invalid-input' });
    untouched();
  });

  it('copies nothing from outside for a build in which files and folders are swapped for links', async () => {
    const root = realpathSync(scratchFolder());
    const folder = join(root, 'build');
    await startSwapper(folder, root);
    let copied = 0;
    for (let round = 0; round < 150 || copied === 0; round++) {
      const target = join(root, 'copy');
      try {
        await copyTree(folder, target, never);
        copied++;
      } catch (error) {
        expect(String(error)).toMatch(/Cannot read|Cannot lay out|ENOENT|ENOTDIR|EINVAL/);
      }
      for (const [path, content] of Object.entries(tree(target))) expect(content, path).not.toContain('SECRET');
      rmSync(target, { recursive: true, force: true });
    }
  }, 60_000);
});

describe.runIf(isRoot)('an agent that is root', () => {
  it('keeps the account of its jobs out of a home until all is laid out and given', async () => {
    const root = realpathSync(scratchFolder());
    await closeFolders(root);
    chmodSync(root, 0o711);
    const kit = await aWorkspace(root, {}, await findAccount('nobody', 0));
    const file = kit.blobs.file('input');
    const modes: number[] = [];
    const { obtain } = kit.blobs;
    const order = aJobOrder(
      aBatchSpec({ inputs: [{ source: 'f', as: 'deep/f' }], archive: ['*'] }, { sources: { f: [file] } }),
    );
    const home = kit.workspace.homeOf(order.id);
    kit.blobs.obtain = (...asked) => {
      modes.push(statSync(home).mode & 0o777);
      return obtain(...asked);
    };
    await kit.workspace.prepare(order, undefined, never);
    expect(modes).toEqual([0o700]);
    expect(statSync(home).mode & 0o777).toBe(0o711);
    expect(statSync(join(home, 'work/deep/f')).uid).toBe(65_534);
  });

  it('changes the mode of nothing outside of a build in which files are swapped for links', async () => {
    const root = realpathSync(scratchFolder());
    await closeFolders(root);
    chmodSync(root, 0o711);
    const kit = await aWorkspace(root, {}, await findAccount('nobody', 0));
    const spec = aBatchSpec({}, { build: build('true') });
    const order = { ...aJobOrder(spec), key: kit.builds.keyOf(spec) ?? '' };
    await kit.builds.prepare(order, never);
    await startSwapper(join(kit.builds.homeOf(order.key), 'work'), root);
    const secrets = join(root, 'secrets');
    chmodSync(secrets, 0o700);
    chmodSync(join(secrets, 'file'), 0o600);
    let finished = 0;
    for (let round = 0; round < 60 || finished === 0; round++) {
      try {
        await kit.builds.finish(order);
        finished++;
      } catch (error) {
        expect(String(error)).toMatch(/Cannot read|ENOENT|Cannot archive/);
      }
    }
    expect(statSync(secrets).mode & 0o777).toBe(0o700);
    expect(statSync(join(secrets, 'file')).mode & 0o777).toBe(0o600);
  }, 60_000);
});
