import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../base/transfer/hash.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { agentWorld, type Change } from '../kit/agent-world.ts';
import { aFence } from '../kit/attempts.ts';

const world = agentWorld();
const { ENDED } = AttemptPhase;
const cancel = (graceMs = 1_000n): Change => ({ $case: 'cancel', value: { fence: aFence(), graceMs } });

describe('what travels while a job runs', () => {
  const big = 'head -c 20000 /dev/zero > $LABRUN_ARCHIVE/big';

  it('has its log on the head within a second, line by line', async () => {
    await world.startAgent();
    const go = world.at('go');
    const assign = world.aBatch(`echo first; until [ -e ${go} ]; do sleep 0.05; done; echo second; sleep 60`);
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await world.head.until(() => world.head.staged.get('0.1 log')?.data.toString() === 'first\n');
    await writeFile(go, '');
    await world.head.until(() => world.head.staged.get('0.1 log')?.data.toString() === 'first\nsecond\n');
    world.head.say(cancel());
    await world.head.untilPhase(ENDED);
  });

  it('has a finished file before the job ends, and does not send it again at the end', async () => {
    await world.startAgent();
    const assign = world.aBatch(
      `${big}; mkdir $LABRUN_ARCHIVE/sub; ${big.replace('big', 'sub/deep')}; exec 7>$LABRUN_ARCHIVE/open; echo x >&7; sleep 60`,
    );
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    await world.head.until(
      () =>
        world.head.staged.get('0.1 archive/big')?.verified && world.head.staged.get('0.1 archive/sub/deep')?.verified,
    );
    expect(world.head.staged.has('0.1 archive/open')).toBe(false);
    expect(world.head.phases()).not.toContain(ENDED);
    world.head.say(cancel());
    const ended = await world.head.untilPhase(ENDED);
    expect(world.head.staged.get('0.1 archive/big')?.starts).toBe(1);
    expect(world.head.staged.get('0.1 archive/open')?.data.toString()).toBe('x\n');
    expect(hashBytes(world.head.staged.get('0.1 manifest')?.data ?? '')).toBe(ended.manifestHash);
  });

  it('sends again what the head has lost, and reports the end again', async () => {
    world.head.automatic = false;
    await world.startAgent();
    const assign = world.aBatch(big);
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    const ended = await world.head.untilPhase(ENDED);
    world.head.staged.clear();
    const heard = world.head.reports.length;
    world.head.say({ $case: 'resend', value: { fence: aFence(), paths: [] } });
    const again = await world.head.until(() => world.head.reports.slice(heard).find(({ phase }) => phase === ENDED));
    expect(again.manifestHash).toBe(ended.manifestHash);
    expect(world.head.staged.get('0.1 archive/big')?.verified).toBe(true);
    expect(again.outcome).toEqual(ended.outcome);
  });
});
