import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FreezingName } from '../../../node-agent/ports.ts';
import { anExecutor, aStarted, canTrackBy } from '../../kit/an-executor.ts';
import { countingScript, counts, countsOn } from '../../kit/counting-job.ts';
import { heldBy } from '../../kit/held-by.ts';
import { buildOtherExecutor, OtherExecutor } from '../../kit/other-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

/** In which way an agent has stopped a tree, and in which the next one stops trees. */
const changes: readonly (readonly [FreezingName, FreezingName])[] = [
  ['cgroup-v1', 'cgroup-v2'],
  ['cgroup-v1', 'stop'],
  ['cgroup-v2', 'cgroup-v1'],
  ['cgroup-v2', 'stop'],
  ['stop', 'cgroup-v1'],
  ['stop', 'cgroup-v2'],
];

let program = '';
beforeAll(async () => {
  program = await buildOtherExecutor();
});

describe.skipIf(!canTrackBy('cgroup-v2') || !canTrackBy('cgroup-v1'))('an agent with other settings', () => {
  it.each(changes)('lets go what was stopped by %s, though it stops by %s, and stops it again', async (was, is) => {
    const root = scratchFolder();
    const options = { folder: join(root, 'supervisors'), freezings: [was] };
    const { executor: first, freezing } = await OtherExecutor.open(program, options);
    expect(freezing).toBe(was);
    const { home } = await aStarted(first, countingScript(true), root);
    await countsOn(home);
    await first.freeze(home);
    expect((await first.processes(home)).map(heldBy)).toContain(was);
    await first.die();
    const second = await anExecutor(root, undefined, true, [is]);
    expect(second.freezing).toBe(is);
    expect(await second.isFrozen(home)).toBe(true);
    await second.thaw(home);
    expect(await second.isFrozen(home)).toBe(false);
    await countsOn(home);
    expect(await second.freeze(home)).toMatchObject({ missed: [] });
    await standsStill(home);
    await second.kill(home, 0);
    expect(await second.processes(home)).toEqual([]);
    const { home: fresh } = await aStarted(second, countingScript(true), root);
    await countsOn(fresh);
    await second.freeze(fresh);
    expect((await second.processes(fresh)).map(heldBy)).toContain(is);
  });
});

async function standsStill(home: string): Promise<void> {
  const before = counts(home);
  await sleep(150);
  expect(counts(home)).toEqual(before);
}
