import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { capture } from './processes.ts';
import { scratchFolder } from './scratch-folder.ts';
import { until } from './until.ts';

/** How large its window is. */
interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A program in a window of tmux, which is a terminal like a person's. Needs the real part `tmux`. */
export interface TmuxWindow {
  /** Types these: texts as they are, and keys by tmux's names (`Enter`, `C-c`, `Escape`). */
  type(...keys: readonly string[]): Promise<void>;
  /** Types a line. */
  line(text: string): Promise<void>;
  resize(size: Size): Promise<void>;
  /** Resolves with what the window shows once it fits. */
  shows(what: RegExp, timeoutMs?: number): Promise<string>;
  /** The process that tmux started. */
  readonly pid: number;
}

/** Starts a program in a window of its own, which is closed when the test has ended. What it leaves there stays to be read. */
export async function inTmux(
  argv: readonly string[],
  options: { readonly env: Readonly<Record<string, string>>; readonly cwd: string; readonly size?: Size },
): Promise<TmuxWindow> {
  const { env, cwd, size = { columns: 100, rows: 30 } } = options;
  const socket = join(scratchFolder(), 'tmux');
  const tmux = async (...args: string[]) => {
    const { code, stdout, stderr } = await capture(['tmux', '-S', socket, '-f', '/dev/null', ...args], { env, cwd });
    if (code !== 0) throw new Error(`tmux ${args[0]} ended with ${code}: ${stderr}`);
    return stdout;
  };
  onTestFinished(async () => void (await tmux('kill-server').catch(() => undefined))); // it may have ended with its window
  // What the program's end was is shown by the shell around it, which then waits.
  const command = `${argv.map(quoted).join(' ')}; echo "[ended with $?]"; exec cat`;
  const window = ['-x', String(size.columns), '-y', String(size.rows)];
  const pid = Number(await tmux('new-session', '-d', '-P', '-F', '#{pane_pid}', ...window, command));
  await tmux('set-option', '-g', 'window-size', 'manual');
  const type = async (...keys: readonly string[]) => void (await tmux('send-keys', ...keys));
  return {
    pid,
    type,
    line: (text) => type(text, 'Enter'),
    resize: async (to) => void (await tmux('resize-window', '-x', String(to.columns), '-y', String(to.rows))),
    async shows(what, timeoutMs) {
      let last = '';
      const look = async () => {
        last = await tmux('capture-pane', '-p', '-J');
        return what.test(last) ? last : undefined;
      };
      return await until(() => `the window shows ${what}; it shows:\n${last.trim()}`, look, timeoutMs);
    },
  };
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
