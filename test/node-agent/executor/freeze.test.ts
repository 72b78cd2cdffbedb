import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { TrackingName } from '../../../node-agent/executor/identity.ts';
import type { FreezingName } from '../../../node-agent/ports.ts';
import { anExecutor, aRequest, canTrackBy } from '../../kit/an-executor.ts';
import { countingScript, counts, countsOn } from '../../kit/counting-job.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

/** Every way to find trees, with every way to stop them that goes with it. */
const ways: readonly (readonly [TrackingName, FreezingName])[] = [
  ['cgroup-v2', 'cgroup-v2'],
  ['cgroup-v2', 'cgroup-v1'],
  ['cgroup-v2', 'stop'],
  ['cgroup-v1', 'cgroup-v1'],
  ['cgroup-v1', 'stop'],
  ['subreaper', 'stop'],
  ['session', 'stop'],
];

/** In which a process that runs would count on. */
const aWhileMs = 150;

describe.each(ways)('by %s, frozen by %s', (tracking, freezing) => {
  const works = canTrackBy(tracking) && (freezing !== 'cgroup-v1' || canTrackBy('cgroup-v1'));
  const test = it.skipIf(!works);
  const open = (root: string) => anExecutor(root, tracking, true, [freezing]);

  test('a tree stands still, whatever its processes did to get away, and goes on', async () => {
    const root = scratchFolder();
    const executor = await open(root);
    expect(executor.freezing).toBe(freezing);
    const request = aRequest(root, countingScript(tracking !== 'session'));
    const running = await executor.start(request);
    await countsOn(request.home);
    expect(await executor.isFrozen(request.home)).toBe(false);
    const frozen = await executor.freeze(request.home);
    expect(frozen).toMatchObject({ missed: [] });
    expect(frozen.processes).toBeGreaterThanOrEqual(4);
    const before = counts(request.home);
    await sleep(aWhileMs);
    expect(counts(request.home)).toEqual(before);
    expect(await executor.isFrozen(request.home)).toBe(true);
    await executor.thaw(request.home);
    expect(await executor.isFrozen(request.home)).toBe(false);
    await countsOn(request.home);
    await executor.kill(request.home, 0);
    expect(await running.ended).toMatchObject({ kind: 'signalled' });
  });
});
