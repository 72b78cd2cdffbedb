import { emitKeypressEvents } from 'node:readline';
import { Fault } from '../base/errors.ts';
import { shown } from './colours.ts';

/** A terminal taken over whole, until it is closed; what was there before is there again then. */
export interface Screen {
  /** Shows these lines in place of the last ones; what does not fit below is cut off. */
  draw(lines: readonly string[]): void;
  close(): void;
}

const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearLine = '\u001b[K';
const clearBelow = '\u001b[J';

/**
 * Takes the terminal. `onKey` gets each key's name or letter; Ctrl-C comes as "q". `onResize` is called when the window has another size. Throws
 * `Fault` (`no-terminal`) where there is none.
 */
export function openScreen(onKey: (key: string) => void, onResize: () => void): Screen {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) {
    throw new Fault('no-terminal', 'Cannot show the desk here: this is no terminal; use "labrun desk status"');
  }
  const press = (text: string | undefined, key: { readonly name?: string; readonly ctrl?: boolean }) =>
    onKey(key.ctrl && key.name === 'c' ? 'q' : (key.name ?? text ?? ''));
  emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.resume();
  stdin.on('keypress', press);
  stdout.on('resize', onResize);
  stdout.write(enter);
  return {
    draw(lines) {
      const room = Math.max(1, (stdout.rows || 24) - 1);
      const all = lines.flatMap((line) => line.split('\n')).slice(0, room);
      stdout.write(`${home}${all.map((line) => `${shown(line)}${clearLine}`).join('\n')}${clearLine}\n${clearBelow}`);
    },
    close() {
      stdin.off('keypress', press);
      stdout.off('resize', onResize);
      stdin.setRawMode(false);
      stdin.pause();
      stdout.write(leave);
    },
  };
}
