import { execFile } from 'node:child_process';
import { systemClock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';

/** How a short command ended. */
export interface CommandResult {
  /** 128 and more for a signal, as shells say it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that was killed and has not ended: the kernel keeps it, as it does with whoever waits for a driver that hangs. */
export class StuckCommand extends Fault {
  /** Resolves when it has ended after all. */
  readonly gone: Promise<void>;

  constructor(message: string, gone: Promise<void>) {
    super('command-failed', message);
    this.gone = gone;
  }
}

/** Most output of a probe that is read; one that says more is killed. */
const outputMaxBytes = 2 ** 20;
/** How long a killed command gets to end, in milliseconds. */
const dieMaxMs = 1_000;

/**
 * Runs a short command to its end and reads what it says. Throws `Fault` (`command-failed`) when it cannot be started,
 * or takes longer than `timeoutMs` (then it is killed); as a `StuckCommand` when that did not end it either.
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
      stuck.cancel();
      if (!error) return resolve({ exitCode: 0, stdout, stderr });
      if (typeof error.code === 'number') return resolve({ exitCode: error.code, stdout, stderr });
      if (signal?.aborted) return reject(signal.reason);
      const why = error.killed ? `it took longer than ${timeoutMs} ms or said too much` : error.message;
      return reject(new Fault('command-failed', `Cannot run "${program}": ${why}`, { cause: error }));
    });
    const stuck = systemClock.setTimer(timeoutMs + dieMaxMs, () => {
      const gone = new Promise<void>((tell) => child.once('close', () => tell()));
      child.unref(); // it must not keep this process either
      reject(
        new StuckCommand(`Cannot run "${program}": it took longer than ${timeoutMs} ms, and cannot be killed`, gone),
      );
    });
    child.stdin?.end(); // nothing to read: a program that asks a question gets no answer instead of waiting for one
  });
}
