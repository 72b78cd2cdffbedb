import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { asleep, free, type Yielding } from '../../node-agent/presence/decide-yield.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { agentWorld } from '../kit/agent-world.ts';
import { aFence } from '../kit/attempts.ts';
import { isAlive } from '../kit/proc.ts';
import { until } from '../kit/until.ts';

const world = agentWorld();
const { BUILDING, ENDED, RETURNED, RUNNING } = AttemptPhase;

const unknown = { sinceMs: 1, usuallyFreeFromMinute: undefined, interruption: undefined };
const paused: Yielding = { ...asleep, cause: 'asked', by: 'ada', reason: 'a talk', condition: 'later' };
const throttled: Yielding = { ...paused, step: 'throttle', cause: 'activity', by: '', reason: 'somebody is here' };
const wish = { cores: 1, exempt: new Set<string>() };

type Agent = Awaited<ReturnType<typeof world.startAgent>>['agent'];

const pause = (agent: Agent) => agent.yieldTo({ ...paused, ...unknown }, { ...wish, step: 'pause' });
const throttle = (agent: Agent) => agent.yieldTo({ ...throttled, ...unknown }, { ...wish, step: 'throttle' });
const goOn = (agent: Agent) => agent.yieldTo({ ...free, ...unknown }, { ...wish, step: 'none' });

describe('an agent that is started while somebody has paused the machine', () => {
  it('starts nothing that waited, and says so with its first word', async () => {
    await world.startAgent(1);
    const witness = world.at('witness');
    const assign = world.aBatch(`until [ -e ${world.at('go')} ]; do sleep 0.05; done; echo over >> ${witness}`);
    await world.head.until(() => world.head.connected);
    world.head.say(assign({ index: 0 }), assign({ index: 1 }));
    await world.head.untilPhase(RUNNING, 0);
    await world.stopAgent();
    await writeFile(world.at('go'), ''); // there is room for the one that waits
    await until('the first has ended', () => existsSync(witness));
    const { agent } = await world.startAgent(1, 'boot', false);
    await pause(agent);
    agent.begin();
    const hello = await world.head.until(() => world.head.hellos[1]);
    expect(hello.yield).toMatchObject({ step: 'pause', takesJobs: false, by: 'ada' });
    await world.head.untilPhase(RETURNED, 1);
    expect(readFileSync(witness, 'utf8')).toBe('over\n');
  });

  it('leaves no build of the earlier agent that would go on unseen', async () => {
    const pids = world.at('pids');
    await world.startAgent();
    const assign = world.aBatch('true', { build: `echo $$ >> ${pids}; sleep 300` });
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await world.head.untilPhase(BUILDING);
    const pid = await until('it builds', () => existsSync(pids) && Number(readFileSync(pids, 'utf8')));
    await world.stopAgent();
    expect(isAlive(pid)).toBe(true);
    const { agent } = await world.startAgent(2, 'boot', false);
    await throttle(agent);
    agent.begin();
    await world.head.untilPhase(RETURNED);
    await until('nothing of the build is left', () => !isAlive(pid));
    // Whoever comes later has it made anew.
    await goOn(agent);
    world.head.say(assign({ index: 1 }));
    await until('it builds again', () => readFileSync(pids, 'utf8').trim().split('\n').length === 2);
  });
});

it('a job whose build ends when somebody has come is given back, and its build is there for the next', async () => {
  const { agent, builds } = await world.startAgent();
  const assign = world.aBatch('echo fine', { build: `until [ -e ${world.at('go')} ]; do sleep 0.05; done` });
  await world.head.until(() => world.head.connected);
  world.head.say(assign());
  await world.head.untilPhase(BUILDING);
  await throttle(agent);
  await writeFile(world.at('go'), '');
  await world.head.untilPhase(RETURNED);
  expect(world.head.phases()).not.toContain(RUNNING);
  await goOn(agent);
  world.head.say(assign({ index: 1 }));
  await world.head.untilPhase(ENDED, 1);
  expect(builds).toHaveLength(1);
});

it('a job that waited for its head when somebody came is given back, and not started when the head is there', async () => {
  const witness = world.at('witness');
  const { agent } = await world.startAgent();
  const assign = world.aBatch(`echo ran > ${witness}`, {
    build: `until [ -e ${world.at('go')} ]; do sleep 0.05; done`,
  });
  await world.head.until(() => world.head.connected);
  world.head.say(assign());
  await world.head.untilPhase(BUILDING);
  await world.head.stop();
  world.head.leaseMs = 0; // from here on its word holds for no time
  await world.head.start();
  await world.head.until(() => world.head.hellos.length === 2);
  await writeFile(world.at('go'), '');
  await until('it is to start', () => agent.attempts().some(({ phase }) => phase.kind === 'starting'));
  await pause(agent);
  await world.head.stop();
  world.head.leaseMs = 600_000;
  await world.head.start();
  await world.head.untilPhase(RETURNED);
  expect(world.head.phases()).not.toContain(RUNNING);
  expect(existsSync(witness)).toBe(false);
});

describe('a job that has stood still for long', () => {
  it('is wanted elsewhere by every head that listens, until it goes on', async () => {
    const { agent } = await world.startAgent();
    const assign = world.aBatch('sleep 300');
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await world.head.untilPhase(RUNNING);
    await world.head.stop();
    await pause(agent);
    const [attempt] = agent.attempts();
    agent.askRequeue(attempt ? [attempt.id] : [], 'paused for long');
    await world.head.start();
    await world.head.until(() => world.head.requeues.length === 1);
    expect(world.head.requeues).toMatchObject([{ fence: aFence(), reason: 'paused for long' }]);
    await world.head.stop();
    await goOn(agent);
    await world.head.start();
    await world.head.until(() => world.head.hellos.length === 3);
    // What it says after its hello comes in order: had it still a wish, it would stand before this.
    world.head.say({ $case: 'cancel', value: { fence: aFence(), graceMs: 0n } });
    await world.head.untilPhase(ENDED);
    expect(world.head.requeues).toHaveLength(1);
  });
});
