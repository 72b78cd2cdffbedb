import { isSystemError } from '../../base/errors.ts';
import { runCommand, StuckCommand } from '../machine/run-command.ts';
import type { Probe } from './strain.ts';

/** A driver that hangs must not hold up the agent, in milliseconds. */
const timeoutMs = 5_000;
const query = ['--query-compute-apps=pid', '--format=csv,noheader'];

/** Sees whether programs that are not ours use a GPU, by asking `nvidia-smi`. */
export function gpuUse(parts: { readonly path: string; ours(): Promise<readonly number[]> }): Probe {
  let stuck: StuckCommand | undefined;
  return async () => {
    // Else each look at a driver that hangs would leave one more program that waits for it.
    if (stuck) throw stuck;
    const env = { PATH: parts.path, LANG: 'C' };
    const before = await parts.ours();
    try {
      const { exitCode, stdout } = await runCommand(['nvidia-smi', ...query], { env, timeoutMs });
      if (exitCode !== 0) return undefined;
      // It takes its time: a job that ends meanwhile was ours before, one that begins is ours now, and who did both has gone.
      const ours = new Set([...before, ...(await parts.ours())]);
      return readPids(stdout).some((pid) => !ours.has(pid) && isThere(pid)) ? 'somebody else uses a GPU' : undefined;
    } catch (error) {
      if (error instanceof StuckCommand) {
        stuck = error;
        void error.gone.then(() => {
          stuck = undefined;
        });
      }
      throw error;
    }
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

/** Also where /proc hides what is another account's. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EPERM')) return true;
    if (isSystemError(error, 'ESRCH')) return false;
    throw error;
  }
}
