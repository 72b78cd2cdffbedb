import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';

/**
 * Resolves when the supervisor of this folder has let go of its tree, at once when it had already. It holds the FIFO
 * `alive` open for writing as long as it has a tree (or waits for one), so that its end, also by SIGKILL, is an event.
 */
export function untilLetGo(supervisorFolder: string): Promise<void> {
  const fd = openFifo(join(supervisorFolder, 'alive'), constants.O_RDONLY);
  if (fd === undefined) return Promise.resolve();
  if (!hasWriter(fd)) {
    closeSync(fd);
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const socket = new Socket({ fd, readable: true, writable: false });
    socket.on('error', () => {}); // `close` follows, and whoever asked reads the files
    socket.on('close', () => resolve());
    socket.resume();
    socket.unref();
  });
}

/** Tells a supervisor that stayed for its orphans (subreaper) that there are none left. Harmless when it is gone. */
export function dismiss(supervisorFolder: string): void {
  const fd = openFifo(join(supervisorFolder, 'again'), constants.O_WRONLY);
  if (fd === undefined) return;
  try {
    writeSync(fd, '\n');
  } catch (error) {
    if (!isSystemError(error, 'EPIPE')) throw error; // it went between our open and our word
  } finally {
    closeSync(fd);
  }
}

/** The kernel announces only an end that comes after our open; one that came before must be read. */
function hasWriter(fd: number): boolean {
  try {
    return readSync(fd, Buffer.alloc(1)) > 0;
  } catch (error) {
    if (isSystemError(error, 'EAGAIN')) return true;
    throw error;
  }
}

function openFifo(path: string, mode: number): number | undefined {
  try {
    return openSync(path, mode | constants.O_NONBLOCK);
  } catch (error) {
    // ENXIO: nobody reads at the other end.
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ENXIO')) return undefined;
    throw error;
  }
}
