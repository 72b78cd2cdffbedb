import { describe, expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';

const lab = sharedLab({ agents: { n1: { cpus: 2, settings: { limits: { processes: 64 } } } } });

/** Runs one job to its end and answers how that was; then the node must serve another at once. */
async function failureOf(name: string, job: object): Promise<{ reason: string; log: string; lines: string }> {
  const file = lab().jobFile(name, { name, namespace: 't', jobs: [{ name: 'j', ...job }] });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  const { jobs } = await lab().json('status', `t/${name}`);
  const next = lab().jobFile(`${name}-next`, {
    name: `${name}-next`,
    namespace: 't',
    jobs: [{ name: 'j', needs: { cpus: 1 }, run: ['/bin/echo', 'served'] }],
  });
  await lab().ok('submit', next, '--wait');
  expect(await lab().ok('logs', `t/${name}-next/j`)).toBe('served\n');
  return {
    reason: jobs[0].reason,
    log: await lab().ok('logs', `t/${name}/j`),
    lines: await lab().ok('status', `t/${name}`),
  };
}

it('ends a job that allocates without end, and serves on', async () => {
  // It would stop by itself at 512 MB, so that a test that fails does no harm.
  const run = `perl -e 'push @a, "x" x 1048576 for 1..512; print "ate ", scalar @a, "\\n"'`;
  const failure = await failureOf('eater', { needs: { cpus: 1, memory: '96M' }, run });
  expect(failure).toMatchObject({ reason: 'oom' });
  expect(failure.lines).toContain('wanted more than its 96M of memory');
  expect(failure.log).not.toContain('ate 512');
}, 60_000);

it('ends a job that forks without end, and serves on', async () => {
  // It asks again whenever it is refused; were there no limit, it would stop at 300 processes.
  const run = `perl -e '
    for (my $n = 0; $n < 300;) {
      my $pid = fork;
      if (!defined $pid) { select undef, undef, undef, 0.05; next }
      if ($pid == 0) { sleep 120; exit }
      $n++;
    }
    print "forked them all\\n"; sleep 120'`;
  const failure = await failureOf('forker', { needs: { cpus: 1 }, timeLimit: '60s', run });
  expect(failure).toMatchObject({ reason: 'processes' });
  expect(failure.lines).toContain('wanted more than 64 processes');
  expect(
    lab()
      .strays()
      .filter(({ command }) => command.includes('perl')),
  ).toEqual([]);
}, 90_000);

it('ends a job that fills its disk with one file, and serves on', async () => {
  const run = 'dd if=/dev/zero of=big bs=1M count=300; echo wrote it all';
  const failure = await failureOf('writer', { needs: { cpus: 1, disk: '20M' }, run });
  expect(failure).toMatchObject({ reason: 'disk-full' });
  expect(failure.lines).toContain('wrote more than its 20M of disk');
  expect(failure.log).not.toContain('wrote it all');
}, 60_000);

it('ends a job that fills its disk with many files, and serves on', async () => {
  const run = 'for i in $(seq 60); do head -c 1000000 /dev/zero > $TMPDIR/$i; done; sleep 120';
  const failure = await failureOf('scatterer', { needs: { cpus: 1, disk: '20M' }, timeLimit: '60s', run });
  expect(failure).toMatchObject({ reason: 'disk-full' });
}, 90_000);

it('shows a job nothing of the environment of its agent', async () => {
  const file = lab().jobFile('plain', {
    name: 'plain',
    namespace: 't',
    jobs: [{ name: 'j', needs: { cpus: 1 }, run: ['/usr/bin/env', '-0'] }],
  });
  await lab().ok('submit', file, '--wait');
  const found = (await lab().ok('logs', 't/plain/j')).split('\0').filter(Boolean);
  const promised = /^(LABRUN_\w+|PATH|LANG|HOME|TMPDIR|PWD|OMP_NUM_THREADS)=/;
  expect(found.filter((entry) => !promised.test(entry))).toEqual([]);
  for (const name of ['PATH', 'HOME']) expect(found).not.toContain(`${name}=${lab().env[name]}`);
});

describe('a build', () => {
  /** Submits a batch with this build and answers what is said of its only job. */
  async function failure(name: string, build: object): Promise<{ reason: string; lines: string }> {
    const file = lab().jobFile(name, {
      name,
      namespace: 't',
      build,
      jobs: [{ name: 'j', needs: { cpus: 1 }, run: 'true' }],
    });
    expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
    const { jobs } = await lab().json('status', `t/${name}`);
    return { reason: jobs[0].reason, lines: await lab().ok('status', `t/${name}`) };
  }

  it('that fills its disk with many files is ended, with the reason', async () => {
    const run = 'for i in $(seq 60); do head -c 1000000 /dev/zero > $i; done; sleep 120';
    const { reason, lines } = await failure('filling-build', { run, needs: { cpus: 1, disk: '20M' } });
    expect(reason).toBe('build-failed');
    expect(lines).toContain('wrote more than its 20M of disk');
    expect(
      lab()
        .strays()
        .filter(({ command }) => command.includes('sleep 120')),
    ).toEqual([]);
  }, 60_000);

  it('that allocates without end is ended, with the reason', async () => {
    const run = `perl -e 'push @a, "x" x 1048576 for 1..512; print "ate them\\n"; sleep 120'`;
    const { reason, lines } = await failure('eating-build', { run, needs: { cpus: 1, memory: '96M' } });
    expect(reason).toBe('build-failed');
    expect(lines).toContain('wanted more than its 96M of memory');
  }, 60_000);
});
