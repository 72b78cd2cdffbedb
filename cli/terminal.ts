import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Fault, isSystemError } from '../base/errors.ts';
import { harmlessJson } from '../base/harmless.ts';
import { shown } from './colours.ts';

// The one place where the program writes to its streams. Nothing leaves here that a terminal would obey but our own
// colours, so that no other file has to think of it. What can be long resolves when the reader takes more.

/** A line of the answer, on standard output. */
export function writeLine(text: string): void {
  process.stdout.write(`${shown(text)}\n`);
}

/** Text of a long answer, on standard output. */
export function writeText(text: string): Promise<void> {
  return put(shown(text));
}

/** JSON, or a part of it, on standard output. */
export function writeJson(text: string): Promise<void> {
  return put(harmlessJson(text));
}

/** One JSON value on a line of standard output. */
export function writeJsonLine(json: string): void {
  process.stdout.write(`${harmlessJson(json)}\n`);
}

/**
 * Bytes of the answer, on standard output: the very bytes in a pipe, harmless text in a terminal. `decoder` belongs to
 * the stream they come from, since a letter may be cut in two.
 */
export function writeBytes(data: Uint8Array, decoder: InstanceType<typeof TextDecoder>): Promise<void> {
  return put(process.stdout.isTTY ? shown(decoder.decode(data, { stream: true })) : data);
}

/** A line for people beside the answer, on standard error. */
export function writeNote(text: string): void {
  process.stderr.write(`${shown(text)}\n`);
}

/** One JSON value on standard error: what went wrong, for scripts. */
export function writeErrorJson(json: string): void {
  process.stderr.write(`${harmlessJson(json)}\n`);
}

/** Asks whoever sits there, on standard error. Only "y" and "yes" mean yes; Ctrl-D is no, and Ctrl-C ends the program. */
export async function askYesNo(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = new Promise<string>((resolve) => {
    terminal.question(shown(question), resolve);
    terminal.once('close', () => resolve('')); // what was asked would wait for ever
  });
  // The terminal gives each key to the question: this one is to do what it always does.
  terminal.once('SIGINT', () => {
    terminal.close();
    process.stderr.write('\n');
    process.kill(process.pid, 'SIGINT');
  });
  try {
    return /^y(es)?$/i.test((await answer).trim());
  } finally {
    terminal.close();
  }
}

/** Opens a file in the editor of whoever sits there, and resolves when they have closed it. Rejects with `Fault` (`editor`). */
export function openEditor(file: string): Promise<void> {
  const editor = process.env['VISUAL'] || process.env['EDITOR'] || 'vi';
  // Ctrl-C in an editor is the editor's; if we, or the shell between, ended by it, two would be left at one terminal.
  const stay = () => undefined;
  process.on('SIGINT', stay);
  return new Promise<void>((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', `trap : INT; ${editor} "$1"`, 'labrun', file], { stdio: 'inherit' });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Fault('editor', `Cannot edit "${file}": "${editor}" ended with ${code}; set EDITOR to yours`));
    });
  }).finally(() => process.off('SIGINT', stay));
}

/** Nobody reads the answer any more: a pipe that was closed, a terminal that is gone. Who has seen enough is no failure. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone';
}

/** Whether a stream of ours failed because nobody reads it any more. A file that fails is another matter. */
export function isReaderGone(stream: NodeJS.WriteStream, error: unknown): boolean {
  return isSystemError(error, 'EPIPE', 'ERR_STREAM_DESTROYED') || (stream.isTTY && isSystemError(error, 'EIO'));
}

/** Writes to standard output as it is; resolves when the reader takes more. Rejects with `ReaderGone` when it is gone. */
export function put(data: string | Uint8Array): Promise<void> {
  const { stdout } = process;
  return new Promise((resolve, reject) => {
    stdout.write(data, (error) => {
      if (!error) resolve();
      else reject(isReaderGone(stdout, error) ? new ReaderGone('nobody reads the answer', { cause: error }) : error);
    });
  });
}
