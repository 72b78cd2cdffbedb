import { readFileSync } from 'node:fs';

/** Whether a process may use but some of the processors that we may, or its control group but a part of their time. */
export function isHeldBack(pid: number): boolean {
  if (processorsOf(pid) !== processorsOf(process.pid)) return true;
  const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  const [, path] = /^\d+:(?:cpu|cpu,cpuacct|cpuacct,cpu):(.*)$/m.exec(groups) ?? [];
  if (path !== undefined) return Number(readFileSync(`/sys/fs/cgroup/cpu${path}/cpu.cfs_quota_us`, 'utf8')) > 0;
  const [, unified = ''] = /^0::(.*)$/m.exec(groups) ?? [];
  return !readFileSync(`/sys/fs/cgroup${unified}/cpu.max`, 'utf8').startsWith('max');
}

function processorsOf(pid: number): string | undefined {
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
}
