import type { FileHandle } from 'node:fs/promises';
import { Fault, isSystemError } from '../../base/errors.ts';
import { openKept } from '../../base/transfer/open-kept.ts';

/** How much of a log's end is looked at, in bytes, and how much of its last line is told, in characters. */
const tailBytes = 4_096;
const lineMax = 200;

/** The last line of a log that says something; empty when there is none, or something else in the log's place. */
export async function lastLineOf(path: string): Promise<string> {
  let file: FileHandle;
  try {
    file = await openKept({ path });
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || (error instanceof Fault && error.code === 'swapped')) return '';
    throw error;
  }
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, tailBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length);
    const lines = buffer.toString('utf8', 0, bytesRead).split(/[\r\n]+/);
    const last = lines.findLast((line) => line.trim() !== '') ?? '';
    // Colours and other control sequences of a terminal have no place in a sentence.
    return last.replace(controls, '').trim().slice(0, lineMax);
  } finally {
    await file.close();
  }
}

const controls = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]|[\\u0000-\\u001f\\u007f]`, 'g');
