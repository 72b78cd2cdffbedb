import { emitKeypressEvents } from 'node:readline';
import { Fault } from '../base/errors.ts';
import { shown } from './colours.ts';
import { joined, wrapped } from './wrap.ts';

/** A terminal taken over whole, until it is closed; what was there before is there again then. */
export interface Screen {
  /** Shows these lines in place of the last ones, and words at the end that always can be read; lines that do not fit are cut off. */
  draw(lines: readonly string[], words: readonly string[]): void;
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
    draw(lines, words) {
      const width = Math.max(1, stdout.columns || 80);
      const below = joined(words, '   ', width);
      const room = Math.max(0, (stdout.rows || 24) - below.length - 1);
      const above = lines.flatMap((line) => line.split('\n')).flatMap((line) => wrapped(line, width));
      const all = [...above.slice(0, room), '', ...below];
      stdout.write(`${home}${all.map((line) => `${shown(line)}${clearLine}`).join('\r\n')}${clearBelow}`);
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
