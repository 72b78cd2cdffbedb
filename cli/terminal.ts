import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { Fault } from '../base/errors.ts';
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

/** Asks whoever sits there, on standard error. Only "y" and "yes" mean yes. */
export async function askYesNo(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(shown(question))).trim());
  } finally {
    terminal.close();
  }
}

/** Opens a file in the editor of whoever sits there, and resolves when they have closed it. Rejects with `Fault` (`editor`). */
export function openEditor(file: string): Promise<void> {
  const editor = process.env['VISUAL'] || process.env['EDITOR'] || 'vi';
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'labrun', file], { stdio: 'inherit' });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Fault('editor', `Cannot edit "${file}": "${editor}" ended with ${code}; set EDITOR to yours`));
    });
  });
}

function put(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
  });
}
