import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hostLab, sharedNetwork } from '../kit/host-lab.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { isAlive } from '../kit/proc.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';
import { attemptFolders, untilNothingIsLeft } from '../kit/witness.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
/** The lease of these heads; the longest that can be wanted is what they have by themselves. */
const lease = process.env['LABRUN_LEASE'] ?? '30s';
const settings = `lease: ${lease}\nheartbeat: 1s\n`;
/** A lease, and the half minute after which silence is noticed; and the same again, for a busy machine. */
const lapseMs = lease === '30s' ? 120_000 : 1_500_000;
const timeoutMs = lapseMs + 90_000;

/** Takes an agent away, and answers how to bring it back. */
type Away = (lab: Lab) => Promise<() => Promise<void>>;

it('gives the jobs of an agent that is gone to another, and the old process and results are worth nothing when it is back', {
  timeout: timeoutMs,
}, async () => {
  await comesBack(await ownLab({ headSettings: settings }), async (lab) => {
    await lab.agents.get('n1')?.end('SIGKILL');
    return async () => void (await lab.startAgent('n1'));
  });
});

if (isLong) {
  it('does the same for an agent that hung, and goes on where it was', { timeout: timeoutMs }, async () => {
    await comesBack(await ownLab({ headSettings: settings }), async (lab) => {
      const pid = lab.agents.get('n1')?.pid ?? 0;
      process.kill(pid, 'SIGSTOP');
      return async () => void process.kill(pid, 'SIGCONT');
    });
  });

  const network = sharedNetwork('n1', 'n2');
  itWith('netns')(
    'does the same for an agent whose machine is cut off',
    async () => {
      await comesBack(await hostLab(network(), { headSettings: settings }), async () => {
        network().cut('n1');
        return async () => network().heal('n1');
      });
    },
    timeoutMs,
  );
}

/** Two jobs run on n1 when it goes: one never ends there, one ends while n1 is away. Both are done by n2; then n1 is back. */
async function comesBack(lab: Lab, goAway: Away): Promise<void> {
  const [go, pids, starts] = [lab.path('go'), lab.path('pid'), lab.path('starts')];
  const run = (first: string) => `echo $$ > ${pids}-$LABRUN_JOB-$LABRUN_ATTEMPT
    echo $LABRUN_JOB $LABRUN_ATTEMPT >> ${starts}
    if [ $LABRUN_ATTEMPT = 1 ]; then ${first}; fi
    head -c 10000 /dev/zero > $LABRUN_ARCHIVE/data
    echo $LABRUN_ATTEMPT > $LABRUN_ARCHIVE/by`;
  const jobs = [
    { name: 'endless', needs: { cpus: 1 }, run: run('sleep 100000') },
    { name: 'late', needs: { cpus: 1 }, run: run(`while [ ! -e ${go} ]; do sleep 0.05; done`) },
  ];
  await lab.ok('submit', lab.jobFile('returned', { name: 'returned', namespace: 't', jobs }));
  const pidOf = (job: string) =>
    until(`${job} runs`, () => Number(readFileSync(`${pids}-${job}-1`, 'utf8').trim() || Number.NaN) || undefined);
  const [endless, late] = [await pidOf('endless'), await pidOf('late')];
  await lab.untilStatus('t/returned', 'the head knows', ({ counts }) => counts.running === 2);

  const comeBack = await goAway(lab);
  writeFileSync(go, '');
  await until('the job that ends has ended', () => !isAlive(late));
  await lab.startAgent('n2');
  await lab.untilStatus('t/returned', 'n2 has done both', ({ counts }) => counts.succeeded === 2, lapseMs);
  expect(isAlive(endless)).toBe(true);
  expect(attemptFolders(lab, 'n1')).toHaveLength(2);

  await comeBack();
  await until('the old process is killed', () => !isAlive(endless), 30_000);
  await until('the scratch of n1 is gone', () => attemptFolders(lab, 'n1').length === 0, 30_000);
  const told = await until('the end of the story is told', () => storyOf(lab), 30_000);
  for (const job of ['endless', 'late']) {
    expect(told(job)).toEqual([
      'job-assigned n1',
      'node-disconnected n1',
      'job-lapsed',
      'job-assigned n2',
      'job-finished',
      'node-connected n1',
      'job-discarded n1',
    ]);
    expect(readFileSync(join(lab.archive, 't/returned', job, 'by'), 'utf8')).toBe('2\n');
    expect(existsSync(join(lab.archive, 't/returned/.labrun/attempts', `${job}.1`))).toBe(false);
  }
  const { jobs: ended } = await lab.json('status', 't/returned');
  for (const job of ended) expect(job).toMatchObject({ state: 'succeeded', attempt: 2, node: 'n2' });
  expect(readFileSync(starts, 'utf8').trim().split('\n').sort()).toEqual([
    'endless 1',
    'endless 2',
    'late 1',
    'late 2',
  ]);
  await untilNothingIsLeft(lab);
}

/** What `labrun events` tells of a job and of n1 since it was assigned, once it has told all; states that pass are left out. */
async function storyOf(lab: Lab): Promise<((job: string) => string[]) | undefined> {
  const lines = (await lab.ok('events', '--json')).trim().split('\n');
  const events = lines.map((line) => JSON.parse(line));
  if (events.filter(({ kind }) => kind === 'job-discarded').length < 2) return undefined;
  const passing = new Set(['job-staging', 'job-started', 'job-archiving']);
  return (job) => {
    const own = events.filter((event) => event.job === job || (event.node === 'n1' && event.kind.startsWith('node-')));
    const from = own.findIndex(({ kind }) => kind === 'job-assigned');
    return own
      .slice(from)
      .filter(({ kind }) => !passing.has(kind))
      .map(({ kind, node }) =>
        ['job-assigned', 'job-discarded'].includes(kind) || kind.startsWith('node-') ? `${kind} ${node}` : kind,
      );
  };
}
