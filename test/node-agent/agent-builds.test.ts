import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { AttemptPhase, BuildState } from '../../proto/gen/labrun/v1/agent_link.ts';
import { agentWorld, type Change } from '../kit/agent-world.ts';
import { aFence } from '../kit/attempts.ts';

const world = agentWorld();
const { ENDED, RETURNED, BUILDING } = AttemptPhase;
const cancel = (graceMs = 1_000n): Change => ({ $case: 'cancel', value: { fence: aFence(), graceMs } });

describe('builds', () => {
  it('are made once for all who wait, and not again for those who come later', async () => {
    const { builds } = await world.startAgent();
    const assign = world.aBatch('true', { build: 'echo building; sleep 0.3' });
    await world.head.until(() => world.head.connected);
    world.head.say(assign({ index: 0 }), assign({ index: 1 }));
    await world.head.untilPhase(BUILDING, 1);
    await world.head.untilPhase(ENDED, 0);
    await world.head.untilPhase(ENDED, 1);
    world.head.say(assign({ index: 2 }));
    await world.head.untilPhase(ENDED, 2);
    expect(builds).toEqual(['b']);
    expect(world.head.builds.map(({ state }) => state)).toEqual([BuildState.READY]);
    const log = await world.head.until(
      () =>
        world.head.staged.get(`build ${aFence().batchId}`)?.verified &&
        world.head.staged.get(`build ${aFence().batchId}`),
    );
    expect(log.data.toString()).toBe('building\n');
  });

  it('that want more processes than a node allows say so', async () => {
    await world.startAgent();
    // It gives up by itself when all that it asks for is given; the agent of this test allows 256.
    const build = "perl -e 'for (1..300) { my $p = fork; exit 3 unless defined $p; if (!$p) { sleep 20; exit } }'";
    const assign = world.aBatch('true', { build });
    await world.head.until(() => world.head.connected);
    world.head.say(assign());
    const returned = await world.head.untilPhase(RETURNED);
    expect(returned.message).toContain('exit code 3: wanted more than 256 processes at a time');
  });

  it('that fail return all who wait, show their log, and run no job until somebody asks for another try', async () => {
    const { builds } = await world.startAgent();
    const witness = world.at('witness');
    const assign = world.aBatch(`echo ran >> ${witness}`, { build: 'echo no compiler here; sleep 0.2; exit 2' });
    await world.head.until(() => world.head.connected);
    world.head.say(assign({ index: 0 }), assign({ index: 1 }));
    for (const index of [0, 1]) {
      const returned = await world.head.untilPhase(RETURNED, index);
      expect(returned).toMatchObject({
        returnedReason: 'build-failed',
        message: 'the build ended with exit code 2: no compiler here',
      });
    }
    const failed = await world.head.until(() => world.head.builds.find(({ state }) => state === BuildState.FAILED));
    world.head.say(assign({ index: 2 }));
    await world.head.untilPhase(RETURNED, 2);
    expect(builds).toHaveLength(1);
    world.head.say({ $case: 'buildRetry', value: failed.buildDigest }, assign({ index: 3 }));
    await world.head.untilPhase(RETURNED, 3);
    expect(builds).toHaveLength(2);
    await world.head.until(() => world.head.staged.get(`build ${aFence().batchId}`)?.verified);
    expect(existsSync(witness)).toBe(false);
  });

  it('are stopped when the last who waits is cancelled, not before', async () => {
    const { builds } = await world.startAgent();
    const go = world.at('go');
    const assign = world.aBatch('true', { build: `until [ -e ${go} ]; do sleep 0.05; done` });
    await world.head.until(() => world.head.connected);
    world.head.say(assign({ index: 0 }), assign({ index: 1 }));
    await world.head.untilPhase(BUILDING, 1);
    world.head.say(cancel());
    await world.head.untilPhase(ENDED, 0);
    await writeFile(go, '');
    expect((await world.head.untilPhase(ENDED, 1)).outcome?.state).toBe('succeeded');
    expect(builds).toHaveLength(1);
  });
});
