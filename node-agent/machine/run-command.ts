import { execFile } from 'node:child_process';
import { Fault } from '../../base/errors.ts';

/** How a short command ended. */
export interface CommandResult {
  /** 128 and more for a signal, as shells say it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Most output of a probe that is read; one that says more is killed. */
const outputMaxBytes = 2 ** 20;

/**
 * Runs a short command to its end and reads what it says. Throws `Fault` (`command-failed`) when it cannot be started,
 * or takes longer than `timeoutMs` (then it is killed).
 */
export function runCommand(
  argv: readonly string[],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  },
): Promise<CommandResult> {
  const [program = '', ...args] = argv;
  const { env, timeoutMs, signal } = options;
  const execOptions = {
    env: { ...env },
    timeout: timeoutMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: outputMaxBytes,
    encoding: 'utf8' as const,
    ...(signal ? { signal } : {}),
  };
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, execOptions, (error, stdout, stderr) => {
      if (!error) return resolve({ exitCode: 0, stdout, stderr });
      if (typeof error.code === 'number') return resolve({ exitCode: error.code, stdout, stderr });
      if (signal?.aborted) return reject(signal.reason);
      const why = error.killed ? `it took longer than ${timeoutMs} ms or said too much` : error.message;
      return reject(new Fault('command-failed', `Cannot run "${program}": ${why}`, { cause: error }));
    });
    child.stdin?.end(); // nothing to read: a program that asks a question gets no answer instead of waiting for one
  });
}
