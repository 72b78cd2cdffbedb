import { type Dirent, lstatSync, opendirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { removeGuarded } from '../../base/transfer/remove-guarded.ts';

/** Entries that are removed in one go. The folder of a short job has fewer, and awaiting each costs more than removing it. */
const atOnceMax = 100;

/**
 * Removes a file or a folder with all that is in it, read-only folders too; links are removed, not followed. Fine when
 * it is not there, or only in part: it may be repeated after a crash. What another account may still change is for
 * `removeGuarded` alone.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    if (removeSmall(path, { left: atOnceMax })) return;
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM', 'ENOTEMPTY', 'EBUSY', 'ENAMETOOLONG')) throw error;
  }
  await removeGuarded(path);
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
  for (const entry of someOf(path, budget.left + 1)) {
    // A name that is no UTF-8 text survives only as bytes; rare, and left to the slow way.
    if (budget.left-- <= 0 || entry.name.includes('\uFFFD')) return false;
    const inner = join(path, entry.name);
    if (!entry.isDirectory()) unlinkSync(inner);
    else if (!removeEmpty(inner) && !removeFolder(inner, budget)) return false;
  }
  rmdirSync(path);
  return true;
}

/** The first entries of a folder: a list of a million would hold everything up. */
function someOf(path: string, max: number): readonly Dirent[] {
  const folder = opendirSync(path, { bufferSize: atOnceMax + 1 });
  try {
    const entries: Dirent[] = [];
    for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) {
      if (entries.push(entry) >= max) break;
    }
    return entries;
  } finally {
    folder.closeSync();
  }
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
