import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';

/**
 * Bytes of all files below a folder, by their sizes; links are not followed. What goes away meanwhile is not counted.
 * One folder is open at a time, and only folders still to be looked into are remembered. Rejects with the signal's reason.
 */
export async function treeSize(root: string, signal: AbortSignal): Promise<number> {
  const folders = [root];
  let bytes = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      for await (const entry of await opendir(folder)) {
        signal.throwIfAborted();
        if (entry.isDirectory()) folders.push(join(folder, entry.name));
        else if (entry.isFile()) bytes += await fileSize(join(folder, entry.name));
      }
    } catch (error) {
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }
  return bytes;
}

async function fileSize(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 0;
    throw error;
  }
}
