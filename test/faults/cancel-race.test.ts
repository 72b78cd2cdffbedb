import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import { delay, systemClock } from '../../base/clock.ts';
import { BatchesClient } from '../../proto/gen/labrun/v1/batches.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { SimRandom } from '../sim/sim-random.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
const jobs = isLong ? 400 : 60;
const seed = Number(process.env['LABRUN_SEED'] ?? 1);
/** How long a job runs, and how long after its start it is cancelled at most, in milliseconds. */
const runMs = 400;
const cancelMaxMs = 700;

it(`lets ${jobs} jobs end once each, whether the cancel or the end came first`, async () => {
  const lab = await ownLab({ agents: { n1: { cpus: 4 }, n2: { cpus: 4 } } });
  const file = lab.jobFile('race', {
    ...{ name: 'race', namespace: 't' },
    jobs: [
      {
        ...{ name: 'j', needs: { cpus: 1 }, retries: 3 },
        matrix: { i: Array.from({ length: jobs }, (_, at) => String(at)) },
        // A third is slow to take a SIGTERM, and a third writes more than travels inside of a report.
        run: `[ $(( {{i}} % 3 )) != 0 ] || trap 'sleep 0.05; exit 1' TERM
          [ $(( {{i}} % 3 )) != 1 ] || head -c 20000 /dev/urandom > $LABRUN_ARCHIVE/big
          echo begun > $LABRUN_ARCHIVE/begun
          sleep ${runMs / 1000}
          echo done > $LABRUN_ARCHIVE/done`,
      },
    ],
  });
  await lab.ok('submit', file);
  await cancelEach(lab, new SimRandom(seed));
  await lab.labrun('wait', 't/race'); // then all that was kept is in its place, too

  const status = await lab.json('status', 't/race');
  const { succeeded, cancelled } = status.counts;
  expect(succeeded + cancelled, `seed ${seed}: ${JSON.stringify(status.counts)}`).toBe(jobs);
  expect([succeeded > 0, cancelled > 0], `seed ${seed}: both orders`).toEqual([true, true]);
  for (const { name, state, attempt } of status.jobs) {
    const folder = join(lab.archive, 't/race', name);
    const meta = JSON.parse(readFileSync(join(folder, '.labrun/meta.json'), 'utf8'));
    expect([meta.state, meta.attempt], `${name}, seed ${seed}`).toEqual([state, attempt]);
    if (state === 'succeeded') expect(readFileSync(join(folder, 'done'), 'utf8'), name).toBe('done\n');
    // It was cancelled in the middle, or before it began; what it had written by then is kept whole.
    else if (existsSync(join(folder, 'begun')))
      expect(readFileSync(join(folder, 'begun'), 'utf8'), name).toBe('begun\n');
  }
  expect(await endsOf(lab)).toEqual(Object.fromEntries(status.jobs.map(({ name }: { name: string }) => [name, 1])));
  await nothingIsLeft(lab);
}, 600_000);

/** Cancels every job some time around its end; resolves when the batch has ended. */
async function cancelEach(lab: Lab, random: SimRandom): Promise<void> {
  const client = openClient(BatchesClient, { kind: 'unix', path: lab.path('head.sock') }, 'control');
  onTestFinished(() => client.close());
  const cancel = async (job: string, waitMs: number) => {
    await delay(systemClock, waitMs);
    const selector = { namespace: 't', batch: 'race', job, states: [], reasons: [], where: [] };
    await call(client, client.cancel, { selector }, { metadata: callerMetadata({ kind: 'user', name: 'tester' }) });
  };
  const events = lab.follow('events', 't/race', '-f', '--json');
  const cancels = new Map<string, Promise<void>>();
  let read = 0;
  await until(
    () => `all have ended; ${cancels.size} were cancelled`,
    () => {
      for (; read < events.lines.length; read++) {
        const { kind, job } = JSON.parse(events.lines[read] ?? '{}');
        if (kind === 'job-assigned' && !cancels.has(job)) cancels.set(job, cancel(job, random.between(0, cancelMaxMs)));
        if (kind === 'batch-ended') return true;
      }
      return false;
    },
    500_000,
  );
  await Promise.all(cancels.values());
  expect(cancels.size).toBe(jobs);
}

/** How often each job ended, by the story that the head tells. */
async function endsOf(lab: Lab): Promise<Record<string, number>> {
  const ends: Record<string, number> = {};
  for (const line of (await lab.ok('events', 't/race', '--json')).trim().split('\n')) {
    const { kind, job, facts } = JSON.parse(line);
    if (kind === 'job-finished' && facts.requeued !== 'true') ends[job] = (ends[job] ?? 0) + 1;
  }
  return ends;
}

async function nothingIsLeft(lab: Lab): Promise<void> {
  let left = '';
  await until(
    () => `nothing is left: ${left}`,
    () => {
      const strays = lab.strays().filter(({ command }) => !command.includes('/supervisors/'));
      const homes = [...lab.agents.keys()].flatMap((name) => readdirSync(join(lab.agentFolder(name), 'attempts')));
      left = JSON.stringify([strays, homes.filter((name) => !name.startsWith('spare-'))]);
      return left === '[[],[]]';
    },
  );
}
