import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';

// Each agent offers "where", whose environment tells jobs and builds on which of them they are.
const where = (name: string) => ({ where: { env: { WHERE: name } } });
const lab = sharedLab({
  agents: {
    n1: { cpus: 1, capabilities: where('n1') },
    n2: { cpus: 1, capabilities: { ...where('n2'), special: {} } },
  },
});
const needs = { capabilities: ['where'], cpus: 1 };

it('builds once on each of two nodes, runs twenty jobs, and does not build again for the same key', async () => {
  const witness = lab().path('witness');
  const build = { run: `sleep 3; echo "build $WHERE" >> ${witness}; echo made on $WHERE > made`, needs };
  const jobs = [
    { name: 'j', matrix: { i: numbers(20) }, needs, run: `cat made; echo "job $WHERE" >> ${witness}; sleep 0.3` },
  ];
  const first = lab().jobFile('first', { name: 'first', namespace: 't', build, jobs });
  await lab().ok('submit', first, '--wait');
  expect(count(witness, 'build n1')).toBe(1);
  expect(count(witness, 'build n2')).toBe(1);
  expect(count(witness, 'job n1') + count(witness, 'job n2')).toBe(20);
  expect(count(witness, 'job n1')).toBeGreaterThan(0);
  expect(count(witness, 'job n2')).toBeGreaterThan(0);

  const second = lab().jobFile('second', { name: 'second', namespace: 't', build, jobs: [{ ...jobs[0], name: 'k' }] });
  await lab().ok('submit', second, '--wait');
  expect(count(witness, 'build ')).toBe(2);
  expect(count(witness, 'job ')).toBe(40);
});

it('runs a batch only where its capabilities are', async () => {
  const file = lab().jobFile('special', {
    name: 'special',
    namespace: 't',
    jobs: [{ name: 'j', matrix: { i: numbers(4) }, needs: { capabilities: ['special'], cpus: 1 }, run: 'true' }],
  });
  await lab().ok('submit', file, '--wait');
  const { jobs } = await lab().json('status', 't/special');
  expect(jobs.map((job: { node: string }) => job.node)).toEqual(['n2', 'n2', 'n2', 'n2']);
});

it('says at submit and in why that nobody can run a batch, and keeps it until somebody can', async () => {
  const file = lab().jobFile('nobody', {
    name: 'nobody',
    namespace: 't',
    jobs: [{ name: 'j', needs: { capabilities: ['wind-tunnel'], cpus: 1 }, run: 'true' }],
  });
  const submitted = await lab().labrun('submit', file);
  expect(submitted.code).toBe(0);
  expect(submitted.stdout + submitted.stderr).toMatch(/wind-tunnel/);
  const why = await lab().ok('why', 't/nobody/j');
  expect(why).toMatch(/wind-tunnel/);
  expect(why).toMatch(/n1/);
  expect(why).toMatch(/n2/);
  expect(await lab().json('status', 't/nobody')).toMatchObject({ state: 'queued', counts: { queued: 1 } });

  await lab().startAgent('n3', { cpus: 1, capabilities: { 'wind-tunnel': {} } });
  await lab().ok('wait', 't/nobody');
  expect(await lab().json('status', 't/nobody')).toMatchObject({ jobs: [{ node: 'n3', state: 'succeeded' }] });
  await lab().agents.get('n3')?.stop();
});

it('runs no job of a batch whose build fails, and shows the build log', async () => {
  const witness = lab().path('not-run');
  const file = lab().jobFile('broken', {
    name: 'broken',
    namespace: 't',
    build: { run: 'echo compiling the impossible; exit 9', needs },
    jobs: [{ name: 'j', matrix: { i: numbers(3) }, needs, run: `echo ran >> ${witness}` }],
  });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  const status = await lab().json('status', 't/broken');
  expect(status.counts.failed).toBe(3);
  for (const job of status.jobs) expect(job.reason).toBe('build-failed');
  expect(() => readFileSync(witness)).toThrow();
  const logs = await Promise.all(['n1', 'n2'].map((node) => lab().ok('logs', 't/broken', '--build', node)));
  for (const log of logs) expect(log).toContain('compiling the impossible');
  expect(readFileSync(`${lab().archive}/t/broken/.labrun/build-n1.log`, 'utf8')).toContain('compiling the impossible');
});

it('builds again where a build has failed when somebody retries its jobs', async () => {
  const mended = lab().path('mended-now');
  const file = lab().jobFile('mended', {
    name: 'mended',
    namespace: 't',
    build: { run: `test -e ${mended}`, needs },
    jobs: [{ name: 'j', matrix: { i: numbers(3) }, needs, run: 'true' }],
  });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  writeFileSync(mended, '');
  await lab().ok('retry', 't/mended', '--state', 'failed');
  await lab().ok('wait', 't/mended');
  expect((await lab().json('status', 't/mended')).counts.succeeded).toBe(3);
});

function numbers(howMany: number): string[] {
  return Array.from({ length: howMany }, (_, at) => String(at));
}

function count(file: string, text: string): number {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith(text)).length;
}
