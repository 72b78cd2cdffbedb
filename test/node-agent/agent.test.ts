import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../base/transfer/hash.ts';
import { noWish } from '../../node-agent/effects/tree-yields.ts';
import { free } from '../../node-agent/presence/decide-yield.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { agentWorld, type Change } from '../kit/agent-world.ts';
import { aFence } from '../kit/attempts.ts';
import { isAlive } from '../kit/proc.ts';
import { until } from '../kit/until.ts';

const world = agentWorld();
const { ENDED, RUNNING, WIPED, RETURNED, LOST } = AttemptPhase;
const cancel = (graceMs = 1_000n): Change => ({ $case: 'cancel', value: { fence: aFence(), graceMs } });

describe('an agent', () => {
  it('runs a job, reports its end with the archive inside, and wipes only what was settled', async () => {
    world.head.automatic = false;
    const { events } = await world.startAgent();
    const assign = world.aBatch('echo hello; echo 42 > $LABRUN_ARCHIVE/answer');
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    const ended = await world.head.untilPhase(ENDED);
    expect(ended.outcome).toMatchObject({ state: 'succeeded', exitCode: 0 });
    const files = ended.inlineArchive?.files.map(({ path, data }) => [path, data.toString()]);
    expect(files).toEqual([
      ['archive/answer', '42\n'],
      ['log', 'hello\n'],
    ]);
    expect(hashBytes(ended.inlineArchive?.manifest ?? '')).toBe(ended.manifestHash);
    expect(events).toEqual(['collect 0']);
    world.head.say({ $case: 'settle', value: aFence() });
    await world.head.untilPhase(WIPED);
    expect(events).toEqual(['collect 0', 'wipe 0']);
    // The head's first delta, which is empty, and two words.
    await world.head.until(() => world.head.acknowledged.at(-1) === 3n);
  });

  it('never starts the same fence twice', async () => {
    const witness = world.at('witness');
    await world.startAgent();
    const assign = world.aBatch(`echo started >> ${witness}`);
    await world.head.until(() => world.head.connected);
    world.head.automatic = false;
    world.head.say(assign(), assign());
    await world.head.untilPhase(ENDED);
    world.head.say(assign(), { $case: 'settle', value: aFence() });
    await world.head.untilPhase(WIPED);
    const heard = world.head.reports.length;
    world.head.say(assign());
    await world.head.until(() => world.head.reports.length > heard);
    expect(world.head.reports.at(-1)?.phase).toBe(WIPED);
    expect(readFileSync(witness, 'utf8')).toBe('started\n');
  });

  it('says how many cores jobs have as they begin, stand still, go on and end', async () => {
    const { agent, coresInUse } = await world.startAgent();
    const assign = world.aBatch('sleep 60');
    await world.head.until(() => world.head.connected);
    world.head.say(assign({}, 2));
    await world.head.untilPhase(RUNNING);
    expect(coresInUse.at(-1)).toBe(2);
    const yielding = { ...free, sinceMs: 0, usuallyFreeFromMinute: undefined, interruption: undefined };
    await agent.yieldTo(yielding, { ...noWish, step: 'pause' });
    expect(coresInUse.at(-1)).toBe(0);
    await agent.yieldTo(yielding, noWish);
    expect(coresInUse.at(-1)).toBe(2);
    world.head.say(cancel());
    await world.head.untilPhase(ENDED);
    expect(coresInUse.at(-1)).toBe(0);
  });

  it('starts what its cores allow, and returns what is recalled before its turn', async () => {
    await world.startAgent(1);
    const assign = world.aBatch('sleep 60');
    await world.head.until(() => world.head.connected);
    world.head.say(assign({ index: 0 }), assign({ index: 1 }));
    await world.head.untilPhase(RUNNING, 0);
    world.head.say({ $case: 'recall', value: aFence({ index: 0 }) }, { $case: 'recall', value: aFence({ index: 1 }) });
    expect(await world.head.untilPhase(RETURNED, 1)).toMatchObject({ returnedReason: 'recalled' });
    expect(world.head.phases(0).at(-1)).toBe(RUNNING);
    world.head.say({ $case: 'cancel', value: { fence: aFence({ index: 0 }), graceMs: 500n } });
    expect((await world.head.untilPhase(ENDED, 0)).outcome).toMatchObject({ state: 'cancelled' });
  });

  it('keeps what a cancelled job had archived, and leaves no process of it', async () => {
    await world.startAgent();
    const pidFile = world.at('pid');
    const assign = world.aBatch(`echo part > $LABRUN_ARCHIVE/part; sleep 300 & echo $! > ${pidFile}; wait`);
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await until('the job is under way', () => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '');
    world.head.say(cancel());
    const ended = await world.head.untilPhase(ENDED);
    expect(ended.outcome?.state).toBe('cancelled');
    expect(ended.inlineArchive?.files.map(({ path }) => path)).toContain('archive/part');
    expect(isAlive(Number(readFileSync(pidFile, 'utf8')))).toBe(false);
  });

  it('ends a job at its time limit', async () => {
    await world.startAgent();
    const assign = world.aBatch('echo working; sleep 60', { timeLimitMs: 2_000 });
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    const { outcome } = await world.head.untilPhase(ENDED);
    expect(outcome).toMatchObject({
      state: 'failed',
      reason: 'timeout',
      message: 'ran into its time limit of 2 s: working',
    });
  });

  it('kills what a job leaves running before it looks at what it left', async () => {
    await world.startAgent();
    const assign = world.aBatch('(sleep 30; echo late > $LABRUN_ARCHIVE/late) & echo done');
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    const ended = await world.head.untilPhase(ENDED);
    expect(ended.inlineArchive?.files.map(({ path }) => path)).toEqual(['log']);
  });

  it('tells the last line of a job that failed', async () => {
    await world.startAgent();
    const assign = world.aBatch('echo one; printf "\\033[31mdiverged at step 7\\033[0m\\n" >&2; exit 3');
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    const { outcome } = await world.head.untilPhase(ENDED);
    expect(outcome).toMatchObject({ reason: 'exit', exitCode: 3, message: 'exit code 3: diverged at step 7' });
  });

  it('gives back what it cannot run here', async () => {
    await world.startAgent();
    const [lacks, newer] = [
      world.aBatch('true', { needs: ['gpu'] }),
      world.aBatch('true', { features: ['runtime.magic'] }),
    ];
    await world.head.until(() => world.head.connected);
    world.head.say(lacks({ index: 0 }), newer({ index: 1 }));
    expect(await world.head.untilPhase(RETURNED, 0)).toMatchObject({ returnedReason: 'capability-gone' });
    expect((await world.head.untilPhase(RETURNED, 1)).message).toContain('runtime.magic');
  });

  it('answers words about attempts it does not hold', async () => {
    world.head.automatic = false;
    await world.startAgent();
    await world.head.until(() => world.head.connected);
    world.head.say({ $case: 'settle', value: aFence({ index: 3 }) }, { $case: 'recall', value: aFence({ index: 4 }) });
    await world.head.untilPhase(WIPED, 3);
    expect((await world.head.untilPhase(LOST, 4)).message).toContain('no record');
  });

  it('says when its capabilities have changed', async () => {
    const { agent } = await world.startAgent();
    await world.head.until(() => world.head.connected);
    const inventory = { capabilities: { gfortran: '12.2' }, cpus: 2, memoryBytes: 1, diskBytes: 1, gpus: 0 };
    const machine = { os: 'linux', architecture: 'x64', tracking: 'session', dedicated: true };
    agent.setInventory({ ...inventory, ...machine, jobsAccount: 'ada', agentIsRoot: false, freezing: 'stop' });
    const told = await world.head.until(() => world.head.inventories.at(-1));
    expect(told).toMatchObject({
      capabilities: [{ name: 'gfortran', version: '12.2' }],
      dedicated: true,
      jobsAccount: 'ada',
    });
  });
});
