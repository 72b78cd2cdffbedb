import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { agentWorld } from '../kit/agent-world.ts';
import { until } from '../kit/until.ts';

const world = agentWorld();
const { ENDED, LOST, RUNNING, WIPED } = AttemptPhase;

describe('a head that goes away', () => {
  it('finds the results when it is back, each once', async () => {
    const { lines } = await world.startAgent();
    const go = world.at('go');
    const assign = world.aBatch(
      `until [ -e ${go} ]; do sleep 0.05; done; head -c 20000 /dev/zero > $LABRUN_ARCHIVE/big`,
    );
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await world.head.untilPhase(RUNNING);
    await world.head.stop();
    await until('the agent has noticed', () => lines.some((line) => line.startsWith('disconnected')));
    await writeFile(go, '');
    await world.head.start();
    await world.head.untilPhase(ENDED);
    await world.head.untilPhase(WIPED);
    expect(world.head.staged.get('0.1 archive/big')?.verified).toBe(true);
    expect(lines.filter((line) => line.startsWith('connected to unix:'))).toHaveLength(2);
  });

  it('is not obeyed when it comes back as another cluster; results are kept, and the agent says so', async () => {
    world.head.automatic = false;
    const { lines, events } = await world.startAgent();
    const assign = world.aBatch('true');
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await world.head.untilPhase(ENDED);
    await world.head.stop();
    world.head.clusterId = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
    await world.head.start();
    await until('it says so', () => lines.some((line) => line.includes('this agent belongs to')));
    expect(events).not.toContain('wipe 0');
  });
});

describe('an agent that is stopped', () => {
  it('leaves its jobs running; the next one takes them up, with log and exit code', async () => {
    await world.startAgent();
    const witness = world.at('witness');
    const go = world.at('go');
    const assign = world.aBatch(
      `echo started >> ${witness}; until [ -e ${go} ]; do sleep 0.05; done; echo done; exit 7`,
    );
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await world.head.untilPhase(RUNNING);
    await world.stopAgent();
    await world.startAgent();
    const hello = await world.head.until(() => world.head.hellos[1]);
    expect(hello.attempts).toMatchObject([{ phase: RUNNING }]);
    expect(hello.nodeId).toBe(world.head.hellos[0]?.nodeId);
    await writeFile(go, '');
    const ended = await world.head.untilPhase(ENDED);
    expect(ended.outcome).toMatchObject({ exitCode: 7, message: 'exit code 7: done' });
    expect(readFileSync(witness, 'utf8')).toBe('started\n');
  });

  it('starts nothing again after the machine went down: what was not over is lost', async () => {
    await world.startAgent(1);
    const witness = world.at('witness');
    const assign = world.aBatch(
      `echo started >> ${witness}; until [ -e ${world.at('go')} ]; do sleep 0.05; done; touch ${world.at('gone')}`,
    );
    await world.head.until(() => world.head.connected);
    world.head.say(assign({ index: 0 }), assign({ index: 1 }));
    await world.head.untilPhase(RUNNING, 0);
    await until('the job has begun', () => existsSync(witness));
    await world.stopAgent();
    await world.startAgent(1, 'another boot');
    for (const index of [0, 1]) await world.head.untilPhase(LOST, index);
    await writeFile(world.at('go'), '');
    await until('the job has gone', () => existsSync(world.at('gone')));
    expect(readFileSync(witness, 'utf8')).toBe('started\n');
  });

  it('finds what ended in its absence, and starts what had not been started', async () => {
    await world.startAgent(1);
    const assign = world.aBatch('sleep 0.5; echo over');
    await world.head.until(() => world.head.connected);
    world.head.say(assign({ index: 0 }), assign({ index: 1 }));
    await world.head.untilPhase(RUNNING, 0);
    await world.stopAgent();
    await world.startAgent(1);
    expect((await world.head.untilPhase(ENDED, 0)).outcome?.state).toBe('succeeded');
    expect((await world.head.untilPhase(ENDED, 1)).outcome?.state).toBe('succeeded');
  });
});
