import { lstat, opendir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';

/** Entries that are read from a folder at a time. */
const listAtOnce = 1_024;

/** How a tree is measured. */
export interface MeasureOptions {
  /** Entries looked at, at most; what is beyond them is not counted. */
  readonly entriesMax: number;
  /** Stops as soon as the sum is above this. */
  readonly enoughBytes: number;
}

/**
 * Bytes that a tree takes on its disk. What vanishes meanwhile counts as nothing, and so does what lies deeper than a path
 * may be long (the reserve of the node guards against that, too); links are not followed.
 */
export async function diskUse(folder: string, { entriesMax, enoughBytes }: MeasureOptions): Promise<number> {
  const open = [folder];
  /** A file with several names takes its room once. */
  const seen = new Set<number>();
  let bytes = 0;
  let entries = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const names = await list(next, entriesMax - entries);
    entries += names.length;
    for (const name of names) {
      if (bytes > enoughBytes) return bytes;
      const path = join(next, name);
      const facts = await ignoringGone(lstat(path));
      if (facts === undefined || seen.has(facts.ino)) continue;
      if (facts.nlink > 1 && !facts.isDirectory()) seen.add(facts.ino);
      bytes += facts.blocks * 512;
      if (facts.isDirectory()) open.push(path);
    }
    if (entries >= entriesMax) return bytes;
  }
  return bytes;
}

/** Bytes that may still be written to the disk of this folder; none where there are no inodes for another file. */
export async function freeBytes(folder: string): Promise<number> {
  const disk = await statfs(folder);
  return disk.files > 0 && disk.ffree === 0 ? 0 : disk.bavail * disk.bsize;
}

/** Names in a folder, at most so many: one may hold millions. */
async function list(folder: string, max: number): Promise<readonly string[]> {
  const names: string[] = [];
  const entries = await ignoringGone(opendir(folder, { bufferSize: listAtOnce }));
  if (entries === undefined) return names;
  for await (const { name } of entries) if (names.push(name) >= max) break;
  return names;
}

async function ignoringGone<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ESTALE', 'ENAMETOOLONG', 'ELOOP', 'EIO')) return undefined;
    throw error;
  }
}
