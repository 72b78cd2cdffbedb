import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { isSystemError } from '../../base/errors.ts';
import { withSpares } from '../../base/spare-descriptors.ts';

/** The text of a small file of the kernel's (/proc, control groups); nothing when it is not there any more. */
export function readSmallFile(path: string): string | undefined {
  try {
    return withSpares(() => readFileSync(path, 'utf8'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ESRCH', 'ENODEV')) return undefined;
    throw error;
  }
}

/** Longest file that a supervisor writes, in bytes: paths, numbers and names. */
const wordsMaxBytes = 16_384;
const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * What a supervisor wrote into a small file of a folder; nothing when it is not there. Jobs of our own account may put a
 * link, a FIFO, or a file without end in its place: none is waited for, and none is what a supervisor wrote.
 */
export function readWords(path: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = withSpares(() => openSync(path, readOnly));
    const { size } = fstatSync(fd);
    if (size > wordsMaxBytes) return undefined;
    const words = Buffer.allocUnsafe(size);
    return words.toString('utf8', 0, readSync(fd, words, 0, size, null));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'EAGAIN', 'EISDIR')) return undefined;
    throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
