import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** How simulations ended: what they said, and their exit status. */
export interface SimRun {
  readonly output: string;
  readonly code: number;
}

/** Runs a bundle of `test/sim/main.ts` to its end, behind tests that wait for real machines. */
export async function runSim(program: string, ...args: readonly string[]): Promise<SimRun> {
  try {
    const { stdout } = await promisify(execFile)('nice', ['-n', '10', process.execPath, program, ...args]);
    return { output: stdout, code: 0 };
  } catch (error) {
    // What execFile throws of a program that ended badly has these members.
    const { stdout, stderr, code } = error as { stdout?: string; stderr?: string; code?: number | string };
    if (typeof code !== 'number') throw error;
    return { output: `${stdout ?? ''}${stderr ?? ''}`, code };
  }
}
