import { runCommand } from '../machine/run-command.ts';
import type { Probe } from './strain.ts';

/** A driver that hangs must not hold up the agent, in milliseconds. */
const timeoutMs = 5_000;
const query = ['--query-compute-apps=pid', '--format=csv,noheader'];

/** Sees whether programs that are not ours use a GPU, by asking `nvidia-smi`. */
export function gpuUse(parts: { readonly path: string; ours(): Promise<readonly number[]> }): Probe {
  return async () => {
    const env = { PATH: parts.path, LANG: 'C' };
    const { exitCode, stdout } = await runCommand(['nvidia-smi', ...query], { env, timeoutMs });
    if (exitCode !== 0) return undefined;
    const ours = new Set(await parts.ours());
    return readPids(stdout).some((pid) => !ours.has(pid)) ? 'somebody else uses a GPU' : undefined;
  };
}

/** Reads the lines of that query: one a process. */
export function readPids(text: string): readonly number[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}
