import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { tree } from '../kit/trees.ts';

const lab = sharedLab();

it('takes one job from submit to pull', async () => {
  const file = lab().jobFile(
    'one',
    {
      name: 'one',
      namespace: 't',
      jobs: [
        {
          name: 'greet',
          needs: { cpus: 1 },
          files: ['word.txt'],
          run: 'cat word.txt; tr a-z A-Z < word.txt > $LABRUN_ARCHIVE/loud.txt',
        },
      ],
    },
    { 'word.txt': 'hello\n' },
  );
  expect(await lab().ok('submit', file, '--wait')).toContain('t/one');

  expect(await lab().json('status', 't/one')).toMatchObject({
    namespace: 't',
    name: 'one',
    state: 'succeeded',
    counts: { succeeded: 1, failed: 0, queued: 0 },
    jobs: [{ name: 'greet', index: 0, state: 'succeeded', node: 'n1', attempt: 1 }],
  });
  expect(tree(`${lab().archive}/t/one/greet`)).toEqual({ 'loud.txt': 'HELLO\n' });
  expect(readFileSync(`${lab().archive}/t/one/greet/.labrun/log`, 'utf8')).toBe('hello\n');

  await lab().ok('pull', 't/one', '--to', 'pulled');
  expect(tree(lab().path('pulled/one/greet'))).toEqual({ 'loud.txt': 'HELLO\n' });
  expect(await lab().ok('logs', 't/one/greet')).toBe('hello\n');
});

it('lists its nodes with what they offer', async () => {
  const { nodes } = await lab().json('nodes');
  expect(nodes).toHaveLength(1);
  expect(nodes[0]).toMatchObject({ name: 'n1', state: 'connected', running: 0 });
  expect(nodes[0].resources).toBeDefined();
});

it('runs what a failed job left to the end of its archive, and says why it failed', async () => {
  const file = lab().jobFile('fails', {
    name: 'fails',
    namespace: 't',
    jobs: [
      { name: 'exits', needs: { cpus: 1 }, run: 'echo part > $LABRUN_ARCHIVE/part; echo so far; exit 3' },
      { name: 'killed', needs: { cpus: 1 }, run: 'kill -SEGV $$' },
      { name: 'late', needs: { cpus: 1 }, run: 'echo early > $LABRUN_ARCHIVE/early; sleep 1000', timeLimit: '3s' },
      { name: 'empty', needs: { cpus: 1 }, run: 'touch out.dat', archive: ['out.dat'], expect: ['out.dat'] },
    ],
  });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  const { jobs, state } = await lab().json('status', 't/fails');
  expect(state).toBe('failed');
  const reasons = Object.fromEntries(jobs.map((job: { name: string; reason: string }) => [job.name, job.reason]));
  expect(reasons).toEqual({ exits: 'exit', killed: 'signal', late: 'timeout', empty: 'missing-output' });
  expect(tree(`${lab().archive}/t/fails/exits`)).toEqual({ part: 'part\n' });
  expect(tree(`${lab().archive}/t/fails/late`)).toEqual({ early: 'early\n' });
});

it('gives a job the environment it is promised, and nothing of the agent', async () => {
  const file = lab().jobFile('env', {
    name: 'env',
    namespace: 't',
    env: { FLAVOUR: 'plain' },
    jobs: [{ name: 'show', matrix: { angle: ['012'] }, needs: { cpus: 1 }, run: 'env | sort; pwd' }],
  });
  await lab().ok('submit', file, '--wait');
  const log = await lab().ok('logs', 't/env/show-angle-012');
  for (const line of [
    'FLAVOUR=plain',
    'LABRUN_NAMESPACE=t',
    'LABRUN_BATCH=env',
    'LABRUN_JOB=show-angle-012',
    'LABRUN_INDEX=0',
    'LABRUN_ATTEMPT=1',
    'LABRUN_CPUS=1',
    'OMP_NUM_THREADS=1',
    'LABRUN_PARAM_ANGLE=012',
  ]) {
    expect(log).toContain(`${line}\n`);
  }
  const home = /^HOME=(.*)$/m.exec(log)?.[1] ?? '';
  expect(home).toContain(lab().agentFolder('n1'));
  expect(log).not.toContain('LABRUN_HEAD');
});
