import { type Captured, capture, type StartOptions } from './processes.ts';

/**
 * Runs a command in a terminal of its own, 300 characters wide, and answers with all that reached it: standard output
 * and error as they were written, with the terminal's line ends taken back. Needs the real part `script`.
 */
export async function inTerminal(argv: readonly string[], options: StartOptions): Promise<Captured> {
  const command = `stty cols 300 rows 50 -onlcr; exec ${argv.map(quoted).join(' ')}`;
  const env = { ...options.env, TERM: 'xterm-256color', SHELL: '/bin/bash' };
  return capture(['script', '-qec', command, '/dev/null'], { ...options, env });
}

/** A word for the shell, whatever is in it. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
