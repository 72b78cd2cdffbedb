import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { Fault, isSystemError } from '../base/errors.ts';
import { formatBytes } from '../config/units.ts';

/** What opening the database may write, in bytes: it brings its log into tables, and begins another. */
const neededBytes = 16 * 2 ** 20;
/** Files that this makes, and then some. */
const neededInodes = 20;

/**
 * Whether a head can start on its data: looked at before anything is opened, so that starting again and again, as a
 * service manager does, touches nothing. Throws `Fault` "disk" that says why not.
 */
export async function checkStartRoom(dataFolder: string): Promise<void> {
  const why = await problemOf(dataFolder);
  if (why !== undefined)
    throw new Fault('disk', `Cannot start on ${dataFolder}: its disk ${why}, then start again; nothing is lost`);
}

async function problemOf(folder: string): Promise<string | undefined> {
  try {
    await access(folder, constants.W_OK);
  } catch (error) {
    if (isSystemError(error, 'EROFS')) return 'is read-only; make it writable';
    throw error;
  }
  const { bavail, bsize, files, ffree } = await statfs(folder);
  if (bavail * bsize < neededBytes)
    return `is full (${formatBytes(bavail * bsize)} left, ${formatBytes(neededBytes)} needed); make room`;
  if (files > 0 && ffree < neededInodes) return `takes no more files (${ffree} inodes left); remove some`;
  return undefined;
}
