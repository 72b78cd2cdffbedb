import { inTmux, type TmuxWindow } from './a-tmux.ts';
import type { Lab } from './lab.ts';
import { program } from './program.ts';

/** `labrun shell` in a window, whatever it says there. Needs the real part `tmux`. */
export function askForShell(lab: Lab, ...args: string[]): Promise<TmuxWindow> {
  return inTmux([process.execPath, program, 'shell', ...args], { env: lab.env, cwd: lab.folder });
}

/** A shell that has said its prompt. Needs the real parts `tmux` and `node-pty`. */
export async function aShell(lab: Lab, ...args: string[]): Promise<TmuxWindow> {
  const window = await askForShell(lab, ...args);
  await window.shows(/A shell (in|on) [\s\S]*[#$] *$/m, 30_000);
  return window;
}
