import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isSystemError } from './errors.ts';

/**
 * Makes a folder and those above it; one that is there is fine. Throws what the system says: Node's own recursive `mkdir`
 * calls a disk that is full or read-only a folder that does not exist.
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, mode);
  } catch (error) {
    if (isSystemError(error, 'EEXIST') && (await stat(path)).isDirectory()) return;
    if (!isSystemError(error, 'ENOENT') || dirname(path) === path) throw error;
    await makeFolder(dirname(path), mode);
    await makeFolder(path, mode);
  }
}

/** The same, at once. */
export function makeFolderSync(path: string, mode = 0o777): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    if (isSystemError(error, 'EEXIST') && statSync(path).isDirectory()) return;
    if (!isSystemError(error, 'ENOENT') || dirname(path) === path) throw error;
    makeFolderSync(dirname(path), mode);
    makeFolderSync(path, mode);
  }
}
