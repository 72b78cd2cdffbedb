import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { delay, systemClock } from '../../base/clock.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { SimRandom } from '../sim/sim-random.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
const kills = isLong ? { jobs: 200, head: 50, agents: 50 } : { jobs: 36, head: 5, agents: 6 };
const seed = Number(process.env['LABRUN_SEED'] ?? 1);
/** Longest times between two deaths of the head, and of an agent, in milliseconds. */
const headEveryMs = 4_000;
const agentEveryMs = 3_500;

it(`completes ${kills.jobs} jobs while the head is killed ${kills.head} times and agents ${kills.agents} times`, async () => {
  const lab = await ownLab({ agents: { n1: {}, n2: {}, n3: {} } });
  const witness = lab.path('witness');
  const file = lab.jobFile('killed', {
    name: 'killed',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        matrix: { i: Array.from({ length: kills.jobs }, (_, at) => String(at)) },
        needs: { cpus: 1 },
        // Every start says so; the archive is of one attempt only if both its files say the same.
        run: `echo {{i}} $(date +%s%3N) >> ${witness}
          echo $LABRUN_ATTEMPT > $LABRUN_ARCHIVE/first
          sleep $(( 1 + {{i}} % 3 )).$(( {{i}} % 10 ))
          echo $LABRUN_ATTEMPT > $LABRUN_ARCHIVE/last`,
      },
    ],
  });
  await lab.ok('submit', file);
  const random = new SimRandom(seed);
  await Promise.all([killHead(lab, random), killAgents(lab, random)]);
  await lab.ok('wait', 't/killed');

  const status = await lab.json('status', 't/killed');
  expect(status.counts, `seed ${seed}`).toMatchObject({ succeeded: kills.jobs, failed: 0, cancelled: 0 });
  for (const { name, attempt } of status.jobs) {
    const read = (path: string) => readFileSync(join(lab.archive, 't/killed', name, path), 'utf8').trim();
    expect([read('first'), read('last')], name).toEqual([String(attempt), String(attempt)]);
  }
  expect(await startsAfterTheirEnd(lab, witness)).toEqual([]);
  let left = '';
  await until(
    () => `scratch is wiped and nothing runs: ${left}`,
    () => {
      // Supervisors that wait for the next job are the agents' own.
      const jobs = lab.strays().filter(({ command }) => !command.includes('/supervisors/'));
      left = JSON.stringify([jobs, leftovers(lab)]);
      return left === '[[],[]]';
    },
  );
}, 1_200_000);

async function killHead(lab: Lab, random: SimRandom): Promise<void> {
  for (let times = 0; times < kills.head; times++) {
    await delay(systemClock, random.between(200, headEveryMs));
    await lab.head.end('SIGKILL');
    await delay(systemClock, random.between(0, 500));
    await lab.startHead();
  }
}

async function killAgents(lab: Lab, random: SimRandom): Promise<void> {
  for (let times = 0; times < kills.agents; times++) {
    await delay(systemClock, random.between(200, agentEveryMs));
    const name = random.pick([...lab.agents.keys()]);
    await lab.agents.get(name)?.end('SIGKILL');
    await delay(systemClock, random.between(0, 500));
    lab.launchAgent(name);
  }
}

/** Jobs that were started after the head had told that they had succeeded. */
async function startsAfterTheirEnd(lab: Lab, witness: string): Promise<string[]> {
  const events = (await lab.ok('events', '--json')).trim().split('\n');
  const ends = new Map<string, number>();
  for (const line of events) {
    const { kind, job, at, facts } = JSON.parse(line);
    if (kind === 'job-finished' && facts.state === 'succeeded') ends.set(job, Date.parse(at));
  }
  expect(ends.size).toBe(kills.jobs);
  const starts = readFileSync(witness, 'utf8').trim().split('\n');
  expect(starts.length).toBeGreaterThanOrEqual(kills.jobs);
  return starts.filter((line) => {
    const [index = '', atMs] = line.split(' ');
    return Number(atMs) > (ends.get(`j-i-${index}`) ?? Number.POSITIVE_INFINITY);
  });
}

/** Folders of attempts that are still there. */
function leftovers(lab: Lab): string[] {
  return [...lab.agents.keys()].flatMap((name) => {
    const folder = join(lab.agentFolder(name), 'attempts');
    return existsSync(folder) ? readdirSync(folder).map((entry) => join(folder, entry)) : [];
  });
}
