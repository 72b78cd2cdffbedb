import type { Dirent } from 'node:fs';
import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';

/** How a tree is measured. */
export interface MeasureOptions {
  /** Entries looked at, at most; what is beyond them is not counted. */
  readonly entriesMax: number;
  /** Stops as soon as the sum is above this. */
  readonly enoughBytes: number;
}

/** Bytes that a tree takes on its disk. What vanishes meanwhile counts as nothing; links are not followed. */
export async function diskUse(folder: string, { entriesMax, enoughBytes }: MeasureOptions): Promise<number> {
  const open = [folder];
  /** A file with several names takes its room once. */
  const seen = new Set<number>();
  let bytes = 0;
  let entries = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const entry of await list(next)) {
      if (bytes > enoughBytes || ++entries > entriesMax) return bytes;
      const path = join(next, entry.name);
      const facts = await ignoringGone(lstat(path));
      if (facts === undefined || seen.has(facts.ino)) continue;
      if (facts.nlink > 1 && !facts.isDirectory()) seen.add(facts.ino);
      bytes += facts.blocks * 512;
      if (facts.isDirectory()) open.push(path);
    }
  }
  return bytes;
}

/** Bytes that may still be written to the disk of this folder. */
export async function freeBytes(folder: string): Promise<number> {
  const disk = await statfs(folder);
  return disk.bavail * disk.bsize;
}

async function list(folder: string): Promise<readonly Dirent[]> {
  return (await ignoringGone(readdir(folder, { withFileTypes: true }))) ?? [];
}

async function ignoringGone<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ESTALE')) return undefined;
    throw error;
  }
}
