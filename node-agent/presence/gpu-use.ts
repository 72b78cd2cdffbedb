import { runCommand } from '../machine/run-command.ts';
import type { Probe } from './strain.ts';

/** A driver that hangs must not hold up the agent, in milliseconds. */
const timeoutMs = 5_000;
const query = ['--query-compute-apps=pid,process_name', '--format=csv,noheader'];

/** Sees whether programs that are not ours use a GPU, by asking `nvidia-smi`. */
export function gpuUse(parts: { readonly path: string; ours(): Promise<readonly number[]> }): Probe {
  return async () => {
    const env = { PATH: parts.path, LANG: 'C' };
    const { exitCode, stdout } = await runCommand(['nvidia-smi', ...query], { env, timeoutMs });
    if (exitCode !== 0) return undefined;
    const ours = new Set(await parts.ours());
    const other = readUsers(stdout).find(({ pid }) => !ours.has(pid));
    return other && `${other.name || `process ${other.pid}`} uses the GPU`;
  };
}

/** Reads the lines of that query: one a process. */
export function readUsers(text: string): readonly { readonly pid: number; readonly name: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, pid, name = ''] = /^\s*(\d+)\s*,\s*(.*?)\s*$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), name: name.split('/').pop() ?? '' }];
  });
}
