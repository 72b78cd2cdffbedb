import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readProcess } from '../../node-agent/executor/process-table.ts';
import type { FreezingName } from '../../node-agent/ports.ts';

/** Where machines mount their control groups: those of version 2 alone, or beside those of version 1. */
const mounts = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

/** By what a process is held still, as the kernel itself shows it; nothing when it may run. */
export function heldBy(pid: number): FreezingName | undefined {
  const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  const [, v1] = /^\d+:(?:[^:]*,)?freezer(?:,[^:]*)?:(.*)$/m.exec(groups) ?? [];
  if (v1 !== undefined && textOf(join('/sys/fs/cgroup/freezer', v1, 'freezer.state')) === 'FROZEN') return 'cgroup-v1';
  const [, v2 = ''] = /^0::(.*)$/m.exec(groups) ?? [];
  const events = mounts.map((mount) => textOf(join(mount, v2, 'cgroup.events')));
  if (events.some((text) => /^frozen 1$/m.test(text))) return 'cgroup-v2';
  return readProcess(pid)?.state === 'T' ? 'stop' : undefined;
}

function textOf(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
}
