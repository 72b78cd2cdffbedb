import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { TrackingName } from '../../../node-agent/executor/identity.ts';
import { readProcess } from '../../../node-agent/executor/process-table.ts';
import type { FreezingName } from '../../../node-agent/ports.ts';
import { anExecutor, aStarted, canTrackBy } from '../../kit/an-executor.ts';
import { counts, countsOn } from '../../kit/counting-job.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { mountLoopDisk } from '../../kit/small-disk.ts';
import { until } from '../../kit/until.ts';

const ways: readonly (readonly [FreezingName, TrackingName])[] = [
  ['cgroup-v2', 'cgroup-v2'],
  ['cgroup-v1', 'cgroup-v1'],
  ['stop', 'subreaper'],
];

describe.skipIf(process.getuid?.() !== 0)('a process that hangs in the kernel', () => {
  it.each(ways)('does not hold up a freeze by %s, and stands still when it gets on', async (freezing, tracking) => {
    if (!canTrackBy(tracking)) return;
    const root = scratchFolder();
    const folder = join(root, 'disk');
    const disk = mountLoopDisk(folder, 8 * 2 ** 20);
    onTestFinished(() => disk.remove());
    const executor = await anExecutor(root, tracking, true, [freezing]);
    const { home } = await aStarted(
      executor,
      `i=0; while :; do i=$((i+1)); echo $i >${folder}/file; echo $i >new; mv new count-main; done`,
      root,
    );
    await countsOn(home, 1);
    // Whoever writes there now waits, and no signal gets through to him.
    if (spawnSync('fsfreeze', ['--freeze', folder]).status !== 0) return;
    const thaw = () => spawnSync('fsfreeze', ['--unfreeze', folder]);
    onTestFinished(() => void thaw());
    const pid = await until('it hangs', async () => {
      // A shell that starts a program hangs for a moment, too; it then has a child.
      const [first = 0, ...others] = await executor.processes(home);
      return others.length === 0 && readProcess(first)?.state === 'D' && first;
    });
    const frozen = await executor.freeze(home);
    expect(frozen).toMatchObject({ processes: 1, missed: [] });
    expect(frozen.tookMs).toBeLessThan(5_000);
    const before = counts(home);
    thaw();
    await sleep(300);
    expect(counts(home)).toEqual(before);
    expect(await executor.processes(home)).toEqual([pid]);
    await executor.thaw(home);
    await countsOn(home, 1);
  });
});
