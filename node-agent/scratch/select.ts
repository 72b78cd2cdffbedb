import picomatch from 'picomatch';
import { isSystemError } from '../../base/errors.ts';
import { isNews, type Snapshot } from './snapshot.ts';
import { look, type WalkEntry, walk, walkFrom } from './walk.ts';

/**
 * What the patterns of `archive` choose below a working directory: files, folders and links that are new or changed
 * since the view was made. A pattern that names a folder (with or without `/` at its end) means all that is in it.
 */
export async function selectNews(
  work: string,
  patterns: readonly string[],
  before: Snapshot,
): Promise<readonly WalkEntry[]> {
  const chosen = new Map<string, WalkEntry>();
  for (const pattern of patterns) {
    for (const entry of await matches(work, pattern.replace(/\/+$/, ''))) {
      if (entry.unread || isNews(entry, before)) chosen.set(entry.path, entry);
    }
  }
  return [...chosen.values()];
}

async function matches(work: string, pattern: string): Promise<readonly WalkEntry[]> {
  const { base, isGlob } = picomatch.scan(pattern);
  const from = isGlob ? base : pattern;
  const start = from === '' || from === '.' ? undefined : await lookIfThere(work, from);
  if (from !== '' && from !== '.' && start === undefined) return [];
  // Only what lies below the part without wildcards is looked at: the rest of a view may be large.
  const all = start === undefined ? await walk(work) : start.kind === 'folder' ? await walkFrom(work, start) : [start];
  if (!isGlob) return all;
  const isMatch = picomatch([pattern, `${pattern}/**`], { dot: true });
  // Nobody knows what a folder that may not be read would have had for us: it is named.
  return all.filter(({ path, unread }) => unread || isMatch(path));
}

async function lookIfThere(work: string, path: string): Promise<WalkEntry | undefined> {
  try {
    return await look(work, path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
