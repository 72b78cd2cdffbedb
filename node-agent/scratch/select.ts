import { posix } from 'node:path';
import picomatch from 'picomatch';
import { relativePathProblem } from '../../base/names.ts';
import type { FileOwner } from '../../base/transfer/open-kept.ts';
import { isNews, type Snapshot } from './snapshot.ts';
import { cannotKeep, look, type WalkEntry, walk, walkFrom } from './walk.ts';

/**
 * What the patterns of `archive` choose below a working directory: files, folders and links that are new or changed
 * since the view was made. A pattern that names a folder (with or without `/` at its end) means all that is in it.
 */
export async function selectNews(
  work: string,
  patterns: readonly string[],
  before: Snapshot,
  owner?: FileOwner,
): Promise<readonly WalkEntry[]> {
  const chosen = new Map<string, WalkEntry>();
  for (const pattern of patterns) {
    for (const entry of await matches(work, pattern.replace(/\/+$/, ''), owner)) {
      if (entry.unread || isNews(entry, before)) chosen.set(entry.path, entry);
    }
  }
  return [...chosen.values()];
}

async function matches(work: string, pattern: string, owner: FileOwner | undefined): Promise<readonly WalkEntry[]> {
  const { base, isGlob } = picomatch.scan(pattern);
  const from = posix.normalize(isGlob ? base : pattern);
  const isAll = from === '.';
  const problem = isAll ? undefined : relativePathProblem(from);
  if (problem !== undefined) throw cannotKeep(pattern, `its path ${problem}`);
  const start = isAll ? undefined : await look(work, from, owner);
  if (!isAll && start === undefined) return [];
  // Only what lies below the part without wildcards is looked at: the rest of a view may be large.
  const all =
    start === undefined
      ? await walk(work, { owner })
      : start.kind === 'folder'
        ? await walkFrom(start, { owner })
        : [start];
  if (!isGlob) return all;
  const isMatch = picomatch([pattern, `${pattern}/**`], { dot: true });
  // Nobody knows what a folder that may not be read would have had for us: it is named.
  return all.filter(({ path, unread }) => unread || isMatch(path));
}
