import { it } from 'vitest';
import { delay, systemClock } from '../../base/clock.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { untilNothingIsLeft, WitnessedBatch } from '../kit/witness.ts';
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
  const batch = await WitnessedBatch.submit(lab, 'killed', kills.jobs, 'sleep $(( 1 + {{i}} % 3 )).$(( {{i}} % 10 ))');
  const random = new SimRandom(seed);
  await Promise.all([killHead(lab, random), killAgents(lab, random)]);
  await batch.expectSucceeded(`seed ${seed}`);
  await untilNothingIsLeft(lab);
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
