import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isSystemError } from './errors.ts';

/**
 * Makes a folder and those above it; one that is there is fine. Throws what the system says: Node's own recursive `mkdir`
 * calls a disk that is full or read-only a folder that does not exist, and never ends where none can be made, as in /proc.
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  if ((await makeOne(path, mode)) === undefined) return;
  if (dirname(path) !== path) await makeFolder(dirname(path), mode);
  const missing = await makeOne(path, mode);
  if (missing) throw missing;
}

/** The same, at once. */
export function makeFolderSync(path: string, mode = 0o777): void {
  if (makeOneSync(path, mode) === undefined) return;
  if (dirname(path) !== path) makeFolderSync(dirname(path), mode);
  const missing = makeOneSync(path, mode);
  if (missing) throw missing;
}

/** Answers the system's word where what is above it is not there. */
async function makeOne(path: string, mode: number): Promise<Error | undefined> {
  try {
    await mkdir(path, mode);
    return undefined;
  } catch (error) {
    if (isSystemError(error, 'EEXIST') && (await stat(path)).isDirectory()) return undefined;
    if (!isSystemError(error, 'ENOENT')) throw error;
    return error;
  }
}

function makeOneSync(path: string, mode: number): Error | undefined {
  try {
    mkdirSync(path, mode);
    return undefined;
  } catch (error) {
    if (isSystemError(error, 'EEXIST') && statSync(path).isDirectory()) return undefined;
    if (!isSystemError(error, 'ENOENT')) throw error;
    return error;
  }
}
