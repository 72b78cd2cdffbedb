import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { groupMembers, makeGroupsFolder, removeGroup, setFrozen } from '../../../node-agent/executor/cgroup.ts';
import { runCommand, StuckCommand } from '../../../node-agent/machine/run-command.ts';
import { gpuUse } from '../../../node-agent/presence/gpu-use.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

const path = '/usr/bin:/bin';
const env = { PATH: path };

it('a command is read to its end, and killed when it takes too long', async () => {
  const command = ['sh', '-c', 'echo said; echo more >&2; exit 3'];
  expect(await runCommand(command, { env, timeoutMs: 5_000 })).toEqual({
    ...{ exitCode: 3, stdout: 'said\n', stderr: 'more\n' },
  });
  await expect(runCommand(['sleep', '20'], { env, timeoutMs: 50 })).rejects.toThrow('it took longer than 50 ms');
});

describe('a program that the kernel keeps, as it keeps those that wait for a driver that hangs', () => {
  itWith('cgroup-v1 freezer')('is not waited for', async () => {
    const { script, letGo } = unkillable();
    const stuck = await runCommand(['sh', '-c', script], { env, timeoutMs: 50 }).catch((error: unknown) => error);
    expect(stuck).toBeInstanceOf(StuckCommand);
    await letGo();
    if (stuck instanceof StuckCommand) await stuck.gone;
  });

  itWith('cgroup-v1 freezer')('is not started again before it has gone', async () => {
    const { script, letGo } = unkillable();
    const folder = scratchFolder();
    aDriver(folder, `echo started >>${folder}/starts; ${script}`);
    const probe = gpuUse({ path: `${folder}:${path}`, ours: async () => [] });
    await expect(probe()).rejects.toThrow('cannot be killed');
    await expect(probe()).rejects.toThrow('cannot be killed');
    expect(readFileSync(join(folder, 'starts'), 'utf8')).toBe('started\n');
    await letGo();
    aDriver(folder, `echo ${process.pid}`);
    await until('it is asked again', async () => (await probe().catch(() => undefined)) !== undefined);
  });
});

describe('a GPU', () => {
  it('is used by somebody else when a program is on it that is not ours, and there', async () => {
    const folder = scratchFolder();
    const probe = (...ours: (readonly number[])[]) =>
      gpuUse({ path: `${folder}:${path}`, ours: async () => ours.shift() ?? [] })();
    aDriver(folder, `echo ${process.pid}`);
    expect(await probe([])).toBe('somebody else uses a GPU');
    expect(await probe([process.pid], [process.pid])).toBeUndefined();
    // A job that ends, and one that begins, while the driver is asked.
    expect(await probe([process.pid], [])).toBeUndefined();
    expect(await probe([], [process.pid])).toBeUndefined();
    aDriver(folder, 'true & echo $!; wait'); // and one that did both
    expect(await probe([])).toBeUndefined();
  });
});

/** A script that SIGKILL does not end before it is let go. */
function unkillable() {
  const group = makeGroupsFolder('v1', `labrun-test-stuck-${process.pid}`);
  if (group === undefined) throw new Error('there are no control groups of version 1 here');
  const letGo = async () => {
    setFrozen(group, false);
    await until('nothing is left in it', () => groupMembers(group).length === 0);
  };
  onTestFinished(async () => {
    if (existsSync(group)) await letGo();
    removeGroup(group);
  });
  return { script: `echo $$ >${group}/cgroup.procs; echo FROZEN >${group}/freezer.state; echo on`, letGo };
}

/** What is asked of GPUs. */
function aDriver(folder: string, script: string): void {
  writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'nvidia-smi'), 0o755);
}
