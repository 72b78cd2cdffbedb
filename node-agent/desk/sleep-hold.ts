import { spawn } from 'node:child_process';
import { messageOf } from '../../base/errors.ts';
import { giving } from '../../base/spare-descriptors.ts';

/** How a hold works: sleep waits until it is let go, or at most for the seconds that logind allows. */
export type HoldMode = 'block' | 'delay';

export interface HoldOptions {
  readonly mode: HoldMode;
  /** For people who ask what keeps the machine awake. */
  readonly why: string;
  /** Where programs are looked for. */
  readonly path: string;
  /** logind keeps the machine from sleep from now on. */
  held(): void;
  /** It was refused, or somebody ended it; nothing is held any more. */
  lost(why: string): void;
}

/** Something that keeps the machine from sleep. */
export interface SleepHold {
  readonly mode: HoldMode;
  /** Lets go; resolves when it has. */
  release(): Promise<void>;
}

/** Most of what the program says that is passed on, in characters. */
const saidMax = 200;

/**
 * Holds an inhibitor of logind. It is a file descriptor that comes over the bus, which Node cannot take; so a program
 * holds it for as long as its input is open: it ends with the agent, also when that is killed. That something comes back
 * from `cat` shows that the inhibitor was given.
 */
export function holdSleep({ mode, why, path, held, lost }: HoldOptions): SleepHold {
  const words = ['--what=sleep', `--mode=${mode}`, '--who=labrun', `--why=${why}`];
  const child = giving(() => spawn('systemd-inhibit', [...words, 'cat'], { stdio: 'pipe', env: { PATH: path } }));
  let released = false;
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(0, saidMax);
  });
  child.stdout.once('data', () => {
    if (!released) held();
  });
  child.stdin.on('error', () => undefined); // it has ended, and that is told below
  child.stdin.write('\n');
  const ended = new Promise<void>((resolve) => {
    const end = (what: string) => {
      if (!released) lost(what);
      released = true;
      resolve();
    };
    child.once('error', (error) => end(messageOf(error)));
    child.once('close', (code, signal) => end(said.trim() || `systemd-inhibit ended with ${code ?? signal}`));
  });
  return {
    mode,
    release() {
      released = true;
      child.stdin.end();
      child.kill(); // one that still waits for logind reads nothing
      return ended;
    },
  };
}
