import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { chmod, lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';

/** Entries that are removed in one go. The folder of a short job has fewer, and awaiting each costs more than removing it. */
const atOnceMax = 100;

/**
 * Removes a file or a folder with all that is in it, read-only folders too; links are removed, not followed. Fine when
 * it is not there, or only in part: it may be repeated after a crash.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    if (removeSmall(path, { left: atOnceMax })) return;
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM', 'ENOTEMPTY', 'EBUSY')) throw error;
  }
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw error;
    await makeWritable(Buffer.from(path));
    await rm(path, { recursive: true, force: true });
  }
}

/**
 * Answers false when the budget was used up before everything was gone. Most folders of a short job are empty, so each
 * is removed first and looked into only if that fails.
 */
function removeSmall(path: string, budget: { left: number }): boolean {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  if (facts?.isDirectory()) return removeFolder(path, budget);
  if (facts) unlinkSync(path);
  return true;
}

function removeFolder(path: string, budget: { left: number }): boolean {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    // A name that is no UTF-8 text survives only as bytes; rare, and left to `rm`, which handles it.
    if (budget.left-- <= 0 || entry.name.includes('\uFFFD')) return false;
    const inner = join(path, entry.name);
    if (!entry.isDirectory()) unlinkSync(inner);
    else if (!removeEmpty(inner) && !removeFolder(inner, budget)) return false;
  }
  rmdirSync(path);
  return true;
}

function removeEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOTEMPTY')) return false;
    throw error;
  }
}

const slash = Buffer.from('/');

/** What is gone by now is fine: `rm` goes on with the other folders after it has failed in one. */
async function makeWritable(path: Buffer): Promise<void> {
  try {
    if (!(await lstat(path)).isDirectory()) return;
    await chmod(path, 0o700);
    for (const entry of await readdir(path, { withFileTypes: true, encoding: 'buffer' })) {
      if (entry.isDirectory()) await makeWritable(Buffer.concat([path, slash, entry.name]));
    }
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
}
