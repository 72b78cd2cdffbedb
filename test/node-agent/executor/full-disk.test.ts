import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { threadsOfProcess } from '../../../node-agent/executor/thread-table.ts';
import type { Executor } from '../../../node-agent/ports.ts';
import { anExecutor, aStarted, pidIn } from '../../kit/an-executor.ts';
import { countingScript, counts, countsOn } from '../../kit/counting-job.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { mountSmallDisk } from '../../kit/small-disk.ts';
import { until } from '../../kit/until.ts';

/** A disk that the agent's own files lie on, and that something fills. */
function aDisk() {
  const disk = mountSmallDisk(join(scratchFolder(), 'disk'), 4 * 2 ** 20);
  onTestFinished(() => disk.remove());
  return disk;
}

itWith('small disk')('a tree is slowed down and gets all of it back although the disk is full', async () => {
  const disk = aDisk();
  const executor = await anExecutor(disk.folder);
  const { home } = await aStarted(executor, 'exec sleep 100', disk.folder);
  const before = await shareOf(executor, home);
  disk.fill(0);
  for (let times = 0; times < 2; times++) {
    expect(await executor.throttle(home, { cores: 0.5 })).toMatchObject({ missed: [] });
    expect(await shareOf(executor, home)).not.toEqual(before);
    await executor.throttle(home, undefined);
    expect(await shareOf(executor, home)).toEqual(before);
  }
});

itWith('small disk', 'cgroup-v1 freezer')(
  'the next agent gives back what one has taken that could not write it down',
  async () => {
    const disk = aDisk();
    const first = await anExecutor(disk.folder);
    const { home } = await aStarted(first, 'exec sleep 100', disk.folder);
    const before = await shareOf(first, home);
    disk.fill(0);
    await first.throttle(home, { cores: 0.5 });
    await first.close();
    disk.free();
    const next = await anExecutor(disk.folder);
    await next.throttle(home, undefined);
    expect(await shareOf(next, home)).toEqual(before);
    await next.kill(home, 0);
  },
);

itWith('small disk')('a tree is stopped by signals, and goes on, although the disk is full', async () => {
  const disk = aDisk();
  const executor = await anExecutor(disk.folder, 'subreaper', false, ['stop']);
  const script = `sleep 100 & kill -STOP $!; echo $! >stopped; ${countingScript()}`;
  // It counts elsewhere: whoever writes here makes room now and then.
  const { home } = await aStarted(executor, script);
  await countsOn(home);
  // What the job has stopped itself would have to be written down.
  await until('one was stopped by the job', () => pidIn(join(home, 'stopped')));
  disk.fill(0);
  expect(await executor.freeze(home)).toMatchObject({ missed: [] });
  disk.free();
  const still = counts(home);
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(counts(home)).toEqual(still);
  await executor.thaw(home);
  await countsOn(home);
});

/** What the first process of a tree may take: by its control group, and by itself. */
async function shareOf(executor: Executor, home: string): Promise<unknown> {
  const [pid = 0] = await executor.processes(home);
  const path = /:cpu(?:,cpuacct)?:(.*)/.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  const files = path === undefined ? [] : ['cpu.cfs_quota_us', 'cpu.shares'];
  const group = files.map((file) => readFileSync(join('/sys/fs/cgroup/cpu', path ?? '', file), 'utf8').trim());
  const { nice, cpus } = threadsOfProcess(pid)[0] ?? {};
  return { group, nice, cpus };
}
