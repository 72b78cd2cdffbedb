import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import type { Tree } from '../../base/transfer/tree.ts';
import { ownFolder } from './layout.ts';
import { type AcceptedAttempt, attemptIn, manifestIn } from './meta-file.ts';

const metaPath = `${ownFolder}/meta.json`;

/**
 * Whether a folder is what a power cut has left of a tree. Its files were not brought to the disk one by one: then their
 * names are there with the folder's, and they are shorter than they were, mostly empty. Where not even `meta.json` says
 * whose it is, it must hold nothing that the tree does not.
 */
export async function isTorn(
  folder: string,
  tree: Pick<Tree, 'files'>,
  { attempt, manifestHash }: Pick<AcceptedAttempt, 'attempt' | 'manifestHash'>,
): Promise<boolean> {
  const there = await attemptIn(folder);
  if (there === 'none') return false;
  if (there === 'foreign') return (await sizeOf(join(folder, metaPath))) === 0 && (await holdsOnly(folder, tree));
  if (there !== attempt || (await manifestIn(folder)) !== manifestHash) return false;
  for (const { path, data } of tree.files) {
    const sizeBytes = await sizeOf(join(folder, path));
    // Another release says other things in meta.json, and what is not there somebody has removed.
    if (path !== metaPath && sizeBytes !== undefined && sizeBytes < data.length) return true;
  }
  return false;
}

async function holdsOnly(folder: string, tree: Pick<Tree, 'files'>): Promise<boolean> {
  const known = new Set(tree.files.map(({ path }) => join(folder, path)));
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.every((entry) => !entry.isFile() || known.has(join(entry.parentPath, entry.name)));
}

/** Of a file; nothing where there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const facts = await lstat(path);
    return facts.isFile() ? facts.size : undefined;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
