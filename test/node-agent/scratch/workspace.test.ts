import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import type { Collected } from '../../../node-agent/ports.ts';
import { aBatchSpec, aGroup, aJobOrder, noNeeds } from '../../kit/a-job-order.ts';
import { aWorkspace } from '../../kit/a-workspace.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const script = (text: string) => ({ kind: 'command' as const, run: { kind: 'script' as const, text } });
const never = new AbortController().signal;

describe('laying out a job', () => {
  it('gives it its words, its folders and what the batch and the job declare', async () => {
    const kit = await aWorkspace(scratchFolder());
    const matrix = { axes: [{ name: 'mesh-size', values: ['fine'] }] };
    const group = { matrix, name: 'job-{{mesh-size}}', env: { B: 'job' }, runtime: script('env | sort') };
    const order = aJobOrder(aBatchSpec(group, { env: { A: 'batch', B: 'batch', LABRUN_CPUS: '99' } }));
    const { end } = await kit.run(order);
    expect(end).toMatchObject({ kind: 'exited', exitCode: 0 });
    const home = kit.workspace.homeOf(order.id);
    const environment = readFileSync(join(home, 'log'), 'utf8').split('\n');
    for (const line of [
      'A=batch',
      'B=job',
      `HOME=${home}/home`,
      `TMPDIR=${home}/tmp`,
      `PWD=${home}/work`,
      `LABRUN_ARCHIVE=${home}/archive`,
      'LABRUN_CPUS=2',
      'LABRUN_RANKS=2',
      'LABRUN_JOB=job-fine',
      'LABRUN_BATCH=batch',
      'LABRUN_NAMESPACE=lab',
      'LABRUN_INDEX=0',
      'LABRUN_PARAM_MESH_SIZE=fine',
      'OMP_NUM_THREADS=2',
    ]) {
      expect(environment).toContain(line);
    }
  });

  it('sets threads by rank where ranks are asked for', async () => {
    const kit = await aWorkspace(scratchFolder());
    const needs = { ...noNeeds, ranks: 4, threads: 3 };
    const order = aJobOrder(aBatchSpec({ needs }));
    const { env } = await kit.workspace.prepare(order, undefined, never);
    expect(env).toMatchObject({ LABRUN_RANKS: '4', OMP_NUM_THREADS: '3' });
  });

  it('runs script text strictly, with parameters as single words', async () => {
    const kit = await aWorkspace(scratchFolder());
    const matrix = { axes: [{ name: 'x', values: ["it's; $HOME"] }] };
    const strict = aJobOrder(aBatchSpec({ matrix, runtime: script('echo {{x}}\nfalse | true\necho not reached') }));
    expect((await kit.run(strict)).end).toMatchObject({ kind: 'exited', exitCode: 1 });
    expect(readFileSync(join(kit.workspace.homeOf(strict.id), 'log'), 'utf8')).toBe("it's; $HOME\n");
  });

  it('lays out files and folders with their modes, and never lets a job write into the cache', async () => {
    const kit = await aWorkspace(scratchFolder());
    const spec = aBatchSpec(
      {
        inputs: [
          { source: 'case', as: 'case' },
          { source: 'tool.sh', as: 'bin/run' },
        ],
        runtime: script('echo changed >case/deep/a.txt; bin/run'),
      },
      {
        sources: {
          case: [
            { kind: 'folder', path: 'deep', mode: 0o755 },
            { kind: 'folder', path: 'empty', mode: 0o700 },
            kit.blobs.file('original', 'deep/a.txt'),
            { kind: 'link', path: 'latest', target: 'deep/a.txt' },
          ],
          'tool.sh': [kit.blobs.file('#!/bin/sh\necho tool\n', '', 0o755)],
        },
      },
    );
    const order = aJobOrder(spec);
    expect((await kit.run(order)).end).toMatchObject({ exitCode: 0 });
    const work = join(kit.workspace.homeOf(order.id), 'work');
    expect(readFileSync(join(work, 'case/latest'), 'utf8')).toBe('changed\n');
    expect(statSync(join(work, 'case/empty')).mode & 0o777).toBe(0o700);
    const content = await kit.blobs.obtain('lab', hashBytes('original'), 8, 'x', never);
    expect(readFileSync(content, 'utf8')).toBe('original');
  });

  it('inserts parameters into templates, and says which file is none', async () => {
    const kit = await aWorkspace(scratchFolder());
    const facts = { sources: { dict: [kit.blobs.file('nu {{nu}};\n', '', 0o444)] } };
    const group = {
      matrix: { axes: [{ name: 'nu', values: ['1e-5', '0.010'] }] },
      inputs: [{ source: 'dict', as: 'constant/dict' }],
      templates: ['constant/dict'],
      count: 2,
    };
    const order = aJobOrder(aBatchSpec(group, facts), { specIndex: 1 });
    await kit.workspace.prepare(order, undefined, never);
    expect(readFileSync(join(kit.workspace.homeOf(order.id), 'work/constant/dict'), 'utf8')).toBe('nu 0.010;\n');
    const missing = aJobOrder(aBatchSpec({ ...group, templates: ['constant/other'] }, facts));
    await expect(kit.workspace.prepare(missing, undefined, never)).rejects.toMatchObject({
      code: 'invalid-template',
      message: expect.stringContaining('constant/other'),
    });
  });

  it("lets a job's own file win over the batch's of that name", async () => {
    const kit = await aWorkspace(scratchFolder());
    const sources = { common: [kit.blobs.file('common')], own: [kit.blobs.file('own')] };
    const facts = { sources, initialInputs: [{ source: 'common', as: 'f' }] };
    const order = aJobOrder(aBatchSpec({ inputs: [{ source: 'own', as: 'f' }] }, facts));
    await kit.workspace.prepare(order, undefined, never);
    expect(readFileSync(join(kit.workspace.homeOf(order.id), 'work/f'), 'utf8')).toBe('own');
  });

  it('refuses inputs that would leave the working directory', async () => {
    const kit = await aWorkspace(scratchFolder());
    const sources = { f: [kit.blobs.file('x')], g: [kit.blobs.file('x', '../../x')] };
    for (const input of [
      { source: 'f', as: '../f' },
      { source: 'f', as: '/etc/f' },
      { source: 'g', as: 'g' },
      { source: 'unknown', as: 'h' },
    ]) {
      const order = aJobOrder(aBatchSpec({ inputs: [input] }, { sources }));
      await expect(kit.workspace.prepare(order, undefined, never)).rejects.toMatchObject({ code: 'invalid-input' });
    }
  });

  it('uses what the needed capabilities set up, and only those', async () => {
    const capability = { version: '1', setup: 'export FROM_SETUP=yes; false', env: { FROM_ENV: 'yes' } };
    const other = { version: '', setup: 'export OTHER=yes', env: { OTHER_ENV: 'yes' } };
    const kit = await aWorkspace(scratchFolder(), { foam: capability, other });
    const needs = { ...noNeeds, capabilities: [{ name: 'foam' }] };
    const text = 'echo $FROM_SETUP $FROM_ENV [$OTHER] [$OTHER_ENV]; false; echo not reached';
    const order = aJobOrder(aBatchSpec({ needs, runtime: script(text) }));
    expect((await kit.run(order)).end).toMatchObject({ exitCode: 1 });
    expect(readFileSync(join(kit.workspace.homeOf(order.id), 'log'), 'utf8')).toBe('yes yes [] []\n');
    const argv = {
      kind: 'command' as const,
      run: { kind: 'argv' as const, argv: ['sh', '-c', 'echo $FROM_SETUP "$1"', 'x', 'a b'] },
    };
    const listed = aJobOrder(aBatchSpec({ needs, runtime: argv }));
    await kit.run(listed);
    expect(readFileSync(join(kit.workspace.homeOf(listed.id), 'log'), 'utf8')).toBe('yes a b\n');
  });
});

describe('a build', () => {
  const build = (text: string, inputs: { source: string; as: string }[] = []) => ({
    runtime: script(text),
    inputs,
    needs: noNeeds,
    timeLimitMs: 0,
  });

  it('is made once, read-only, and each job changes only its own view of it', async () => {
    const root = scratchFolder();
    const kit = await aWorkspace(root);
    const spec = aBatchSpec(
      { runtime: script('cat $LABRUN_BUILD/out/made; echo mine >out/made; echo new >out/new; ls out') },
      {
        build: build(`mkdir out; cp code out/made; ln -s made out/link; echo once >>${root}/witness`, [
          { source: 'code', as: 'code' },
        ]),
        sources: { code: [kit.blobs.file('v1\n')] },
      },
    );
    for (const order of [aJobOrder(spec), aJobOrder(spec)]) {
      expect((await kit.run(order)).end).toMatchObject({ exitCode: 0 });
      expect(readFileSync(join(kit.workspace.homeOf(order.id), 'log'), 'utf8')).toBe('v1\nlink\nmade\nnew\n');
    }
    expect(readFileSync(join(root, 'witness'), 'utf8')).toBe('once\n');
    const key = kit.builds.keyOf(spec) ?? '';
    const view = await kit.builds.find(key);
    expect(statSync(join(view?.folder ?? '', 'out/made')).mode & 0o222).toBe(0);
    expect(await kit.builds.list()).toMatchObject([{ key, finished: true }]);
    await kit.builds.remove(key);
    expect(await kit.builds.list()).toEqual([]);
  });

  it('that was not finished is not found, and the next try starts from nothing', async () => {
    const kit = await aWorkspace(scratchFolder());
    const spec = aBatchSpec({}, { build: build('test ! -e half; touch half') });
    const key = kit.builds.keyOf(spec) ?? '';
    const order = { ...aJobOrder(spec), key };
    const request = await kit.builds.prepare(order, never);
    expect(await (await kit.executor.start(request)).ended).toMatchObject({ exitCode: 0 });
    expect(await kit.builds.find(key)).toBeUndefined();
    expect(await kit.builds.list()).toMatchObject([{ key, finished: false }]);
    const again = await kit.builds.prepare(order, never);
    expect(await (await kit.executor.start(again)).ended).toMatchObject({ exitCode: 0 });
  });

  it('has another key with another command, file, capability version or machine', async () => {
    const root = scratchFolder();
    const kit = await aWorkspace(root);
    const sources = { code: [kit.blobs.file('v1')] };
    const spec = aBatchSpec({}, { build: build('make', [{ source: 'code', as: 'code' }]), sources });
    const changed = { ...spec, sources: { code: [kit.blobs.file('v2')] } };
    const keys = [spec, { ...spec, build: build('make all') }, changed].map((one) => kit.builds.keyOf(one));
    expect(new Set(keys).size).toBe(3);
    expect(kit.builds.keyOf({ ...spec, name: 'another', groups: [aGroup({ name: 'x' })] })).toBe(keys[0]);
    expect(kit.builds.keyOf(aBatchSpec())).toBeUndefined();
  });
});

describe('the final sweep', () => {
  it('keeps the archive as the job left it: modes, links, empty folders, hashes', async () => {
    const kit = await aWorkspace(scratchFolder());
    const text =
      'cd $LABRUN_ARCHIVE; mkdir -p a/empty; printf data >a/f; chmod 751 a/f; ln -s /etc/passwd a/out; : >zero';
    const { collected } = await kit.run(aJobOrder(aBatchSpec({ runtime: script(text) })));
    expect(collected.files).toMatchObject([
      { path: 'a', kind: 'folder' },
      { path: 'a/empty', kind: 'folder' },
      { path: 'a/f', kind: 'file', mode: 0o751, sizeBytes: 4, hash: hashBytes('data') },
      { path: 'a/out', kind: 'link', linkTarget: '/etc/passwd' },
      { path: 'zero', kind: 'file', sizeBytes: 0, hash: hashBytes('') },
    ]);
  });

  it('collects by pattern what is new or changed since the view was made', async () => {
    const kit = await aWorkspace(scratchFolder());
    const files = ['same.dat', 'edited.dat', 'restored.dat', 'touched.txt'];
    const group = {
      inputs: files.map((name) => ({ source: name, as: `case/${name}` })),
      archive: ['case/*.dat', 'post/', 'log.txt', 'nothing/**'],
      runtime: script(
        'echo 1 >case/new.dat; echo other >case/edited.dat; mkdir -p post/t1 post/none; echo 2 >post/t1/u; echo 3 >log.txt; echo 4 >ignored;' +
          'touch -r case/restored.dat ref; echo OLD >case/restored.dat; touch -r ref case/restored.dat',
      ),
    };
    const sources = Object.fromEntries(files.map((name) => [name, [kit.blobs.file('old\n')]]));
    const { collected } = await kit.run(aJobOrder(aBatchSpec(group, { sources })));
    expect(paths(collected)).toEqual([
      'case/edited.dat',
      'case/new.dat',
      'case/restored.dat',
      'log.txt',
      'post',
      'post/none',
      'post/t1',
      'post/t1/u',
    ]);
  });

  it('names what was expected and is missing or empty', async () => {
    const kit = await aWorkspace(scratchFolder());
    const expected = ['there', 'empty', 'missing', 'kept', 'none/'];
    const text = 'echo x >there; : >empty; mkdir none; echo y >$LABRUN_ARCHIVE/kept';
    const { collected } = await kit.run(aJobOrder(aBatchSpec({ runtime: script(text), expect: expected })));
    expect(collected.missing).toEqual(['empty', 'missing', 'none/']);
  });

  it.each([
    ['a FIFO', 'mkfifo $LABRUN_ARCHIVE/pipe', 'pipe'],
    ['a name that is no text', `touch $LABRUN_ARCHIVE/$'bad\\xff'`, 'bad'],
    ['two names that differ by case', 'touch $LABRUN_ARCHIVE/Data $LABRUN_ARCHIVE/data', 'ata'],
    ['a file of its own in .labrun', 'mkdir $LABRUN_ARCHIVE/.labrun; touch $LABRUN_ARCHIVE/.labrun/log', '.labrun'],
    ['two files for one path', 'echo 1 >both; echo 2 >$LABRUN_ARCHIVE/both', 'both'],
  ])('leaves out %s, names it, and keeps the rest', async (_what, text, named) => {
    const kit = await aWorkspace(scratchFolder());
    const run = `${text}; echo good >$LABRUN_ARCHIVE/good`;
    const { collected } = await kit.run(aJobOrder(aBatchSpec({ runtime: script(run), archive: ['both'] })));
    expect(collected.problems[0]).toMatch(/^Cannot archive "/);
    expect(collected.problems[0]).toContain(named);
    expect(paths(collected)).toContain('good');
    const kept = paths(collected).map((path) => path.toLowerCase());
    expect(new Set(kept).size).toBe(kept.length);
    expect(kept.filter((path) => path.startsWith('.labrun'))).toEqual([]);
  });

  it('refuses an archive folder that became a link', async () => {
    const kit = await aWorkspace(scratchFolder());
    const text = 'rmdir $LABRUN_ARCHIVE; ln -s /etc $LABRUN_ARCHIVE';
    await expect(kit.run(aJobOrder(aBatchSpec({ runtime: script(text) })))).rejects.toMatchObject({
      code: 'archive-failed',
      message: expect.stringContaining('archive folder'),
    });
  });

  it('does not mind what it is not asked to keep', async () => {
    const kit = await aWorkspace(scratchFolder());
    const order = aJobOrder(aBatchSpec({ runtime: script('mkfifo pipe; echo x >a.dat'), archive: ['*.dat'] }));
    expect(paths((await kit.run(order)).collected)).toEqual(['a.dat']);
  });

  it('hashes thousands of files and large ones away from the main thread', async () => {
    const kit = await aWorkspace(scratchFolder());
    const text = 'cd $LABRUN_ARCHIVE; seq 3000 | split -l 1 -a 4; truncate -s 200M big';
    const order = aJobOrder(aBatchSpec({ runtime: script(text) }));
    const { collected } = await kit.run(order);
    expect(collected.files).toHaveLength(3001);
    expect(collected.files.find(({ path }) => path === 'xaaab')?.hash).toBe(hashBytes('2\n'));
  });
});

describe('wiping', () => {
  it('removes read-only folders and odd names, follows no link, and may be repeated', async () => {
    const root = scratchFolder();
    const kit = await aWorkspace(root);
    mkdirSync(join(root, 'precious'));
    writeFileSync(join(root, 'precious/file'), 'x');
    const text = `mkdir -p a/b; touch a/b/c $'bad\\xff'; ln -s ${root}/precious out; chmod 500 a/b a`;
    const order = aJobOrder(aBatchSpec({ runtime: script(text) }));
    expect((await kit.run(order)).end).toMatchObject({ exitCode: 0 });
    expect(await kit.workspace.list()).toEqual([order.id]);
    await kit.workspace.wipe(order.id);
    await kit.workspace.wipe(order.id);
    expect(await kit.workspace.list()).toEqual([]);
    expect(existsSync(join(root, 'precious/file'))).toBe(true);
  });

  it('leaves nothing of a job to the next one that gets its folders', async () => {
    const root = scratchFolder();
    const kit = await aWorkspace(root);
    const mode = (0o777 & ~process.umask()).toString(8);
    const clean = 'find .. -mindepth 1 -printf "%P %m\\n" | sort >&2';
    for (const text of [
      'true',
      'chmod 777 .',
      'touch $TMPDIR/.hidden',
      'rm -rf $HOME; ln -s / $HOME',
      'rm -rf $LABRUN_ARCHIVE',
    ]) {
      for (const script of [text, clean]) {
        const order = aJobOrder(
          aBatchSpec({ runtime: { kind: 'command', run: { kind: 'argv', argv: ['sh', '-c', script] } } }),
        );
        const request = await kit.workspace.prepare(order, undefined, never);
        await (await kit.executor.start(request)).ended;
        if (script === clean) {
          const log = readFileSync(join(request.home, 'log'), 'utf8');
          expect(log.split('\n').map((line) => line.replace(/^(identity|log) \d+$/, '$1'))).toEqual([
            `archive ${mode}`,
            `home ${mode}`,
            'identity',
            'log',
            `tmp ${mode}`,
            `work ${mode}`,
            '',
          ]);
        }
        await kit.workspace.wipe(order.id);
        expect(await kit.workspace.list()).toEqual([]);
        expect(existsSync(request.home)).toBe(false);
      }
    }
    await aWorkspace(root);
    expect(readdirSync(join(root, 'attempts'))).toEqual([]);
  });

  it('removes the home itself when it is a link, not what it points to', async () => {
    const root = scratchFolder();
    const kit = await aWorkspace(root);
    mkdirSync(join(root, 'precious'));
    const order = aJobOrder(aBatchSpec());
    symlinkSync(join(root, 'precious'), kit.workspace.homeOf(order.id));
    await kit.workspace.wipe(order.id);
    expect(lstatSync(join(root, 'precious')).isDirectory()).toBe(true);
  });
});

function paths(collected: Collected): readonly string[] {
  return collected.files.map(({ path }) => path).sort();
}
