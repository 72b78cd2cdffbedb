import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Lab, sharedLab } from '../kit/lab.ts';
import { capture } from '../kit/processes.ts';
import { program, repository } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { tree } from '../kit/trees.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab();
const example = join(repository, 'examples/distribute-python');
const jobNames = ['steep', 'flat'];

itWith('python3', 'gfortran')(
  'gives exactly the files that a python batch saves: in the archive, after pull, and through run',
  async () => {
    cpSync(example, lab().path('example'), { recursive: true });
    const file = lab().path('example/distribute-jobs.yaml');
    const expected = await byHand(lab());
    await lab().ok('submit', file, '--wait');

    const archive = `${lab().archive}/ballistics/trajectory`;
    await lab().ok('pull', file, '--to', 'pulled');
    const { LABRUN_HEAD: _, ...env } = lab().env;
    lab().must(await capture([process.execPath, program, 'run', file, '--to', lab().path('ran')], { env }));
    for (const folder of [archive, lab().path('pulled/trajectory'), lab().path('ran/trajectory')]) {
      for (const job of jobNames) {
        expect(tree(join(folder, job), ['.labrun', `${job}_output.txt`]), `${folder}/${job}`).toEqual(expected[job]);
        expect(readFileSync(join(folder, job, `${job}_output.txt`), 'utf8')).toMatch(
          /^\d+ core\(s\): .* degrees fly .* m\n$/,
        );
      }
    }
    expect(readFileSync(join(archive, '.labrun/build-n1.log'), 'utf8')).toContain('compiled trajectory');
  },
  60_000,
);

itWith('python3')('runs its jobs first to last, each with the files it names and a clean place to save', async () => {
  const file = pythonBatch('order', ['one', 'two', 'three'], {
    'job.py': `
import os, sys
print(sorted(os.listdir("input")), os.listdir("distribute_save"), sorted(os.listdir("initial_files")))
open("distribute_save/mine", "w").write(open("input/mine").read())
open("left-behind", "w").write("x")
assert os.environ["LABRUN_CPUS"] == sys.argv[1]
`,
  });
  await lab().ok('submit', file, '--wait');
  const { jobs } = await lab().json('status', 'd/order');
  const starts = jobs.map((job: { startedAt: string }) => job.startedAt);
  expect(starts).toEqual([...starts].sort());
  for (const name of ['one', 'two', 'three']) {
    expect(tree(`${lab().archive}/d/order/${name}`)).toEqual({
      mine: `${name}\n`,
      [`${name}_output.txt`]: "['mine', 'shared.txt'] [] ['shared.txt']\n",
    });
  }
});

// What follows is where that tool fails its users: we do not.

itWith('python3')('runs no job after a build that failed, and keeps the log of the build', async () => {
  const file = pythonBatch('no-build', ['one'], { 'build.py': 'import sys; print("cannot build"); sys.exit(3)' });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  expect((await lab().json('status', 'd/no-build')).jobs).toMatchObject([{ state: 'failed', reason: 'build-failed' }]);
  expect(readFileSync(`${lab().archive}/d/no-build/.labrun/build-n1.log`, 'utf8')).toContain('cannot build');
});

itWith('python3')('says which jobs failed, and keeps what they saved', async () => {
  const file = pythonBatch('half', ['one', 'two'], {
    'job.py':
      'import sys; name = open("input/mine").read(); open("distribute_save/s", "w").write(name); sys.exit(name == "two\\n")',
  });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  expect((await lab().json('status', 'd/half')).jobs).toMatchObject([
    { name: 'one', state: 'succeeded' },
    { name: 'two', state: 'failed', reason: 'exit' },
  ]);
  expect(readFileSync(`${lab().archive}/d/half/two/s`, 'utf8')).toBe('two\n');
});

itWith('python3')('keeps symbolic links as links, empty folders, modes, and names with spaces', async () => {
  const file = pythonBatch('odd', ['one'], {
    'job.py': `
import os
os.chdir("distribute_save")
open("real file", "w").write("content")
os.symlink("real file", "link")
os.symlink("/nowhere/at/all", "broken")
os.makedirs("empty/inner")
open("tool", "w").write("#!/bin/sh\\n")
os.chmod("tool", 0o755)
`,
  });
  await lab().ok('submit', file, '--wait');
  await lab().ok('pull', file, '--to', 'odd-pulled');
  for (const folder of [`${lab().archive}/d/odd/one`, lab().path('odd-pulled/odd/one')]) {
    expect(tree(folder, ['.labrun', 'one_output.txt'])).toEqual({
      broken: '-> /nowhere/at/all',
      'empty/': '/',
      'empty/inner/': '/',
      link: '-> real file',
      'real file': 'content',
      tool: '#!/bin/sh\n',
    });
    lab().must(await capture(['test', '-x', `${folder}/tool`]));
  }
});

itWith('python3')('cancels the batch of the namespace that was named, and kills its processes', async () => {
  const sleep = {
    'job.py':
      'import time; open("distribute_save/begun", "w").write("yes"); print("begun", flush=True); time.sleep(1000)',
  };
  const mine = pythonBatch('same', ['one'], sleep);
  const theirs = pythonBatch('same', ['one'], sleep, 'other');
  await lab().ok('submit', mine);
  await lab().ok('submit', theirs);
  await lab().untilStatus('d/same', 'ours runs', ({ counts }) => counts.running === 1);
  await lab().ok('cancel', 'd/same');
  await lab().untilStatus('d/same', 'ours is cancelled', ({ counts }) => counts.cancelled === 1);
  await lab().untilStatus('other/same', 'theirs runs', ({ counts }) => counts.running === 1);
  expect(readFileSync(`${lab().archive}/d/same/one/begun`, 'utf8')).toBe('yes');
  await lab().ok('cancel', 'other/same');
  await lab().untilStatus('other/same', 'theirs is cancelled', ({ counts }) => counts.cancelled === 1);
  await until('no job process is left', () =>
    lab()
      .strays()
      .every(({ command }) => !command.includes('job.py')),
  );
});

itWith('python3')('pulls a part by regular expressions, and goes on where an interrupted pull stopped', async () => {
  const file = pythonBatch('parts', ['one', 'two'], {
    'job.py': 'for name in ("a.dat", "b.txt"): open("distribute_save/" + name, "w").write(name * 1000)',
  });
  await lab().ok('submit', file, '--wait');
  const outputs = jobOutputs(['one', 'two']);
  await lab().ok('pull', file, '--to', 'included', '--include', 'one/.*\\.dat$');
  expect(filesOf(lab().path('included/parts'))).toEqual(['one/a.dat']);
  await lab().ok('pull', file, '--to', 'excluded', '--exclude', '\\.dat$');
  expect(filesOf(lab().path('excluded/parts'))).toEqual([...outputs, 'one/b.txt', 'two/b.txt'].sort());
  await lab().ok('pull', 'd/parts', '--to', 'excluded');
  expect(filesOf(lab().path('excluded/parts'))).toEqual(
    [...outputs, 'one/a.dat', 'one/b.txt', 'two/a.dat', 'two/b.txt'].sort(),
  );
  writeFileSync(lab().path('excluded/parts/one/a.dat'), 'broken'); // a pull repairs what is not as it was archived
  await lab().ok('pull', 'd/parts', '--to', 'excluded');
  expect(readFileSync(lab().path('excluded/parts/one/a.dat'), 'utf8')).toBe('a.dat'.repeat(1000));
});

itWith('python3')('accepts the commands of that tool under their old names', async () => {
  const file = pythonBatch('aliases', ['one'], { 'job.py': 'print("ran")' });
  await lab().ok('add', file);
  await lab().ok('wait', 'd/aliases');
  expect(await lab().ok('server-status', 'd/aliases')).toContain('aliases');
  expect(await lab().ok('node-status')).toContain('n1');
  expect((await lab().labrun('kill', 'd/none')).code).toBe(3);
});

/** What the two jobs of the example save, computed without labrun. */
async function byHand(where: Lab): Promise<Record<string, Record<string, string>>> {
  const saved: Record<string, Record<string, string>> = {};
  for (const job of jobNames) {
    const folder = where.path(`by-hand-${job}`);
    mkdirSync(join(folder, 'input'), { recursive: true });
    mkdirSync(join(folder, 'distribute_save'));
    cpSync(join(example, 'trajectory.f90'), join(folder, 'input/trajectory.f90'));
    cpSync(join(example, 'constants/earth.json'), join(folder, 'input/planet.json'));
    cpSync(join(example, `shots/${job}.json`), join(folder, 'input/shot.json'));
    for (const script of [['build.py'], ['launch.py', '1']]) {
      const [name = '', ...args] = script;
      where.must(await capture(['python3', join(example, name), ...args], { cwd: folder }));
    }
    saved[job] = tree(join(folder, 'distribute_save'));
  }
  return saved;
}

/** A batch with a shared file and one named for each job; scripts may be replaced. */
function pythonBatch(
  name: string,
  jobs: readonly string[],
  scripts: Readonly<Record<string, string>>,
  namespace = 'd',
): string {
  const text = JSON.stringify({
    meta: { batch_name: name, namespace, capabilities: ['python3'] },
    python: {
      initialize: { build_file: { path: 'build.py' }, required_files: ['shared.txt'] },
      jobs: jobs.map((job) => ({
        name: job,
        file: { path: 'job.py' },
        required_files: [{ path: `${job}.txt`, alias: 'mine' }],
      })),
    },
  });
  const own = Object.fromEntries(jobs.map((job) => [`${job}.txt`, `${job}\n`]));
  const files = { 'build.py': 'pass\n', 'job.py': 'pass\n', 'shared.txt': 's\n', ...own, ...scripts };
  return join(lab().write(`${namespace}-${name}`, { ...files, 'distribute-jobs.yaml': text }), 'distribute-jobs.yaml');
}

function jobOutputs(jobs: readonly string[]): string[] {
  return jobs.map((job) => `${job}/${job}_output.txt`);
}

function filesOf(folder: string): string[] {
  return Object.keys(tree(folder, ['.labrun', 'jobs.csv']))
    .filter((path) => !path.endsWith('/'))
    .sort();
}
