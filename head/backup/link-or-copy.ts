import { constants, copyFile, link } from 'node:fs/promises';
import { isSystemError } from '../../base/errors.ts';
import { syncFile } from '../archive/durable.ts';

/**
 * Puts a file that nobody ever changes at a second place: by a hard link where the filesystem can, else as a copy that
 * shares its bytes where it can, else as a plain one, on disk when this resolves. Says whether bytes are shared for sure.
 */
export async function linkOrCopy(from: string, to: string): Promise<'linked' | 'copied'> {
  try {
    await link(from, to);
    return 'linked';
  } catch (error) {
    // Another filesystem, one without hard links, too many of them, or the file is not ours.
    if (!isSystemError(error, 'EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS')) throw error;
  }
  await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  await syncFile(to);
  return 'copied';
}
