import { expect, it } from 'vitest';
import type { TrackingName } from '../../../node-agent/executor/identity.ts';
import type { FreezingName } from '../../../node-agent/ports.ts';
import { anExecutor, aStarted, canTrackBy } from '../../kit/an-executor.ts';
import { countingScript, counts, countsOn } from '../../kit/counting-job.ts';
import { useUpDescriptors } from '../../kit/no-descriptors.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const ways: readonly (readonly [FreezingName, TrackingName])[] = [
  ['cgroup-v1', 'cgroup-v1'],
  ['stop', 'subreaper'],
];

it.each(ways.filter(([, tracking]) => canTrackBy(tracking)))(
  'a tree is slowed down, stopped and let go by an agent that has no descriptor left (%s)',
  async (freezing, tracking) => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking, freezing !== 'stop', [freezing]);
    const { home } = await aStarted(executor, countingScript(), root);
    await countsOn(home);
    const { free } = useUpDescriptors();
    expect(await executor.throttle(home, { cores: 1 })).toMatchObject({ io: 'class', missed: [] });
    expect(await executor.freeze(home)).toMatchObject({ missed: [] });
    free();
    const still = counts(home);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(counts(home)).toEqual(still);
    useUpDescriptors();
    await executor.thaw(home);
    expect(await executor.throttle(home, undefined)).toMatchObject({ cores: 'none' });
  },
);
