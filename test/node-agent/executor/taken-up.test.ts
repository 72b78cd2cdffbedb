import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openExecutor } from '../../../node-agent/executor/executor.ts';
import type { TrackingName } from '../../../node-agent/executor/identity.ts';
import { isAlive, readBootId, readProcess } from '../../../node-agent/executor/process-table.ts';
import { anExecutor, aRequest } from '../../kit/an-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

/** A session of somebody else: its leader and a child. */
interface Strangers {
  readonly leader: number;
  readonly child: number;
}

const trackings: readonly TrackingName[] = ['cgroup-v2', 'cgroup-v1', 'subreaper', 'session'];

describe.each(trackings)('a home whose supervisor is gone (%s)', (tracking) => {
  it('is lost, and whoever has the number now is not touched', async () => {
    const { leader, child } = await strangers();
    const root = scratchFolder();
    // A supervisor of this start of the machine had the number a moment before.
    const home = aHome(root, { tracking, pid: leader, startTicks: startOf(leader) - 1, bootId: readBootId() });
    const executor = await anExecutor(root);
    expect(await (await executor.adopt(home))?.ended).toMatchObject({ kind: 'lost' });
    expect(await executor.processes(home)).toEqual([]);
    await executor.kill(home, 0);
    expect([isAlive(leader), isAlive(child)]).toEqual([true, true]);
  });

  it('is lost after a reboot, also where number and start are those of another process', async () => {
    const { leader, child } = await strangers();
    const root = scratchFolder();
    const home = aHome(root, { tracking, pid: leader, startTicks: startOf(leader), bootId: 'an earlier one' });
    const executor = await anExecutor(root);
    expect(await (await executor.adopt(home))?.ended).toMatchObject({
      kind: 'lost',
      message: 'the machine went down while it ran',
    });
    await executor.kill(home, 0);
    expect([isAlive(leader), isAlive(child)]).toEqual([true, true]);
  });
});

it('has run for as long as it has, however the wall clock jumped since it began', async () => {
  const root = scratchFolder();
  const first = await anExecutor(root);
  const request = aRequest(root, 'sleep 60');
  await first.start(request);
  await first.close();
  const jumped = systemClock.nowMs() - 7_200_000;
  const clock = { ...systemClock, nowMs: () => jumped };
  const next = await openExecutor({ folder: join(root, 'supervisors'), clock, architecture: arch() });
  onTestFinished(() => next.close());
  const adopted = await next.adopt(request.home);
  expect(jumped - (adopted?.startedAtMs ?? 0)).toBeGreaterThanOrEqual(0);
  expect(jumped - (adopted?.startedAtMs ?? 0)).toBeLessThan(10_000);
  await next.kill(request.home, 0);
});

/** As a supervisor that has died has left it. */
function aHome(root: string, who: { tracking: string; pid: number; startTicks: number; bootId: string }): string {
  const home = join(root, 'attempts', 'a');
  const folder = join(root, 'supervisors', 'old-0');
  for (const made of [home, folder]) mkdirSync(made, { recursive: true });
  const group = who.tracking.startsWith('cgroup') ? join(root, 'group-that-is-gone') : '';
  const words = [who.bootId, who.pid, who.startTicks, '1.00', who.tracking, group, folder];
  writeFileSync(join(home, 'identity'), `${[...words, 'job', '.'].join('\n')}\n`);
  writeFileSync(join(folder, 'identity'), `${[...words, '-', '.'].join('\n')}\n`);
  writeFileSync(join(folder, 'home'), `${home}\n`);
  return home;
}

async function strangers(): Promise<Strangers> {
  const shell = spawn('/bin/sh', ['-c', 'sleep 60 & echo $!; wait'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => end(shell));
  const [text] = await once(shell.stdout, 'data');
  const child = Number(String(text));
  await until('the child runs', () => isAlive(child));
  return { leader: shell.pid ?? 0, child };
}

async function end(shell: ChildProcess): Promise<void> {
  const ended = shell.exitCode === null && shell.signalCode === null ? once(shell, 'exit') : undefined;
  // The whole group: the shell and its child, both of this test.
  process.kill(-(shell.pid ?? 0), 'SIGKILL');
  await ended;
}

function startOf(pid: number): number {
  return readProcess(pid)?.startTicks ?? Number.NaN;
}
