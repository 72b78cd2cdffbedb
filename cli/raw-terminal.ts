import { Fault } from '../base/errors.ts';
import { OtherScreen } from './other-screen.ts';
import { put } from './terminal.ts';

// The one way past `cli/terminal.ts`: a program elsewhere is to move the cursor and colour the screen as if it ran here,
// so its bytes reach the terminal as they are. docs/security.md says what that means.

/** A terminal whose keys and screen are somebody else's until it is closed. */
export interface RawTerminal {
  /** Resolves when the terminal takes more. */
  show(data: Uint8Array): Promise<void>;
  /** Gives the keys back. Where what showed here was `cut` off, takes colours and other modes off that it left on. */
  close(cut: boolean): void;
}

/** Modes that programs which were cut off leave on: colours, a hidden cursor, mouse, paste, keys. */
const sane = '\u001b[0m\u001b[?25h\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l\u001b[?1l\u001b>';
const leaveOtherScreen = '\u001b[?1049l';

/** Whether somebody sits here. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY;
}

/** How large the window is. Throws `Fault` (`no-terminal`) where there is none. */
export function terminalSize(): { readonly columns: number; readonly rows: number } {
  const { stdout } = process;
  if (!hasTerminal())
    throw new Fault('no-terminal', 'Cannot open a shell here: standard input and output must be a terminal');
  return { columns: stdout.columns || 80, rows: stdout.rows || 24 };
}

/**
 * Takes the terminal. Every key comes to `onKeys`, Ctrl-C too; no more are read until what it answers has resolved.
 * `onResize` is called when the window has another size.
 */
export function takeTerminal(onKeys: (keys: Buffer) => Promise<void>, onResize: () => void): RawTerminal {
  const { stdin, stdout } = process;
  const hear = (keys: Buffer) => {
    stdin.pause();
    const goOn = () => {
      if (!isClosed) stdin.resume();
    };
    onKeys(keys).then(goOn, goOn); // that they cannot be sent any more is told by the connection's end
  };
  const otherScreen = new OtherScreen();
  let isClosed = false;
  stdin.setRawMode(true);
  stdin.on('data', hear);
  stdin.resume();
  stdout.on('resize', onResize);
  return {
    show(data) {
      otherScreen.take(data);
      return put(data);
    },
    close(cut) {
      isClosed = true;
      stdin.off('data', hear);
      stdout.off('resize', onResize);
      stdin.setRawMode(false);
      stdin.pause();
      if (cut) stdout.write(otherScreen.isOn ? `${sane}${leaveOtherScreen}` : sane);
    },
  };
}

/** Where nobody sits: what is said goes to standard output, and nobody types. */
export function plainOutput(): RawTerminal {
  return { show: put, close: () => undefined };
}
