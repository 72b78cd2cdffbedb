import { existsSync, readFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { Lab } from '../kit/lab.ts';
import { processesNaming } from '../kit/proc.ts';
import { capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { tree } from '../kit/trees.ts';

// `run` brings its own head, so these labs have a folder and a home, and no services.
function place(): Lab {
  const lab = new Lab();
  onTestFinished(() => lab.close());
  lab.write('home', { '.keep': '' });
  return lab;
}

async function run(lab: Lab, ...args: string[]) {
  const { LABRUN_HEAD: _, ...env } = lab.env;
  const own = { ...env, TMPDIR: lab.path('tmp') };
  lab.write('tmp', { '.keep': '' });
  return capture([process.execPath, program, 'run', ...args], { env: own, cwd: lab.folder });
}

it('runs a job file with no head, leaves its results where asked, and nothing else', async () => {
  const lab = place();
  const file = lab.jobFile('alone', {
    name: 'alone',
    build: { run: 'echo built > made', needs: { cpus: 1 } },
    jobs: [
      {
        name: 'j',
        matrix: { i: ['1', '2'] },
        needs: { cpus: 1 },
        run: 'cat made > $LABRUN_ARCHIVE/out; echo {{i}} >> $LABRUN_ARCHIVE/out',
      },
    ],
  });
  const ran = await run(lab, file, '--to', 'out');
  expect(ran, ran.stderr).toMatchObject({ code: 0 });
  expect(tree(lab.path('out/alone'), ['.labrun', 'jobs.csv'])).toEqual({
    'j-i-1/': '/',
    'j-i-1/out': 'built\n1\n',
    'j-i-2/': '/',
    'j-i-2/out': 'built\n2\n',
  });
  expect(processesNaming(lab.folder)).toEqual([]);
});

it('answers scripts with one object: how it went, and where the results are', async () => {
  const lab = place();
  const jobs = [{ name: 'j', matrix: { i: ['1', '2'] }, needs: { cpus: 1 }, run: 'test {{i}} = 1' }];
  const ran = await run(lab, lab.jobFile('told', { name: 'told', jobs }), '--to', 'out', '--json');
  expect(ran, ran.stderr).toMatchObject({ code: 1 });
  expect(JSON.parse(ran.stdout)).toMatchObject({
    name: 'told',
    state: 'failed',
    counts: { succeeded: 1, failed: 1 },
    folder: lab.path('out/told'),
  });
  // Its head is gone by then: the log is where the results are.
  expect(ran.stderr).toContain('see: out/told/j-i-2/.labrun/log');
  expect(existsSync(lab.path('out/told/j-i-2/.labrun/log'))).toBe(true);
});

it('runs only the job that was asked for, and exits 1 when it failed', async () => {
  const lab = place();
  const witness = lab.path('witness');
  const file = lab.jobFile('picked', {
    name: 'picked',
    jobs: [
      { name: 'good', needs: { cpus: 1 }, run: `echo good >> ${witness}` },
      { name: 'bad', needs: { cpus: 1 }, run: `echo bad >> ${witness}; echo what went wrong; exit 4` },
    ],
  });
  const ran = await run(lab, file, '--job', 'bad', '--to', 'out');
  expect(ran.code).toBe(1);
  expect(ran.stdout + ran.stderr).toContain('what went wrong');
  expect(readFileSync(witness, 'utf8')).toBe('bad\n');
  expect(existsSync(lab.path('out/picked/good'))).toBe(false);
});
