import { posix } from 'node:path';
import picomatch from 'picomatch';
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { Glob } from '../../base/glob.ts';
import { relativePathProblem } from '../../base/names.ts';
import type { FileOwner } from '../../base/transfer/open-kept.ts';
import { isNews, type Snapshot } from './snapshot.ts';
import { cannotKeep, look, unkept, type WalkEntry, walk, walkEntriesMax, walkFrom } from './walk.ts';

/** Where and how patterns choose. */
export interface Selection {
  /** The working directory. */
  readonly work: string;
  readonly patterns: readonly string[];
  /** What was there before the job. */
  readonly before: Snapshot;
  /** The account that the job ran as, where that is not ours. */
  readonly owner: FileOwner | undefined;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** What patterns chose, and why some of them could not. */
export interface Chosen {
  readonly entries: readonly WalkEntry[];
  readonly problems: readonly string[];
}

/** Time that all patterns of a job may take to match, and paths that are tried in one go. */
const matchMaxMs = 5_000;
const triedMax = 256;
const tryMaxMs = 100;

/**
 * What the patterns of `archive` choose below a working directory: files, folders and links that are new or changed
 * since the view was made. A pattern that names a folder (with or without `/` at its end) means all that is in it. One
 * that cannot be followed costs nothing but what it would have chosen.
 */
export async function selectNews(selection: Selection): Promise<Chosen> {
  const chosen = new Map<string, WalkEntry>();
  const problems: string[] = [];
  const search = new Search(selection);
  for (const pattern of selection.patterns) {
    try {
      for (const entry of await search.matches(pattern.replace(/\/+$/, ''))) {
        if (entry.unread || isNews(entry, selection.before)) chosen.set(entry.path, entry);
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      problems.push(error.code === 'glob' ? unkept(pattern, `the pattern ${error.message}`) : error.message);
    }
  }
  return { entries: [...chosen.values()], problems };
}

/** A search under way. Each folder is walked once, and all that is walked or tried is bounded for all patterns together. */
class Search {
  readonly #selection: Selection;
  readonly #walked = new Map<string, readonly WalkEntry[]>();
  #entriesLeft = walkEntriesMax;
  #msLeft = matchMaxMs;

  constructor(selection: Selection) {
    this.#selection = selection;
  }

  async matches(pattern: string): Promise<readonly WalkEntry[]> {
    const { base, isGlob } = picomatch.scan(pattern);
    const all = await this.#below(pattern, posix.normalize(isGlob ? base : pattern));
    if (!isGlob) return all;
    const glob = new Glob(pattern, { dot: true }, [`${pattern}/**`]);
    const fitting: WalkEntry[] = [];
    for (let at = 0; at < all.length; at += triedMax) {
      const some = all.slice(at, at + triedMax);
      const fits = this.#try(
        glob,
        some.map(({ path }) => path),
      );
      // Nobody knows what a folder that may not be read would have had for us: it is named.
      for (const [index, entry] of some.entries()) if (entry.unread || fits[index]) fitting.push(entry);
      await turn(); // a long list must not delay a heartbeat
    }
    return fitting;
  }

  /** Only what lies below the part without wildcards is looked at: the rest of a view may be large. */
  async #below(pattern: string, from: string): Promise<readonly WalkEntry[]> {
    const known = this.#walked.get(from);
    if (known) return known;
    const { work, owner } = this.#selection;
    const rules = { owner, entriesMax: this.#entriesLeft };
    const problem = from === '.' ? undefined : relativePathProblem(from);
    if (problem !== undefined) throw cannotKeep(pattern, `its path ${problem}`);
    const start = from === '.' ? undefined : await look(work, from, owner);
    if (from !== '.' && start === undefined) return [];
    const found = start === undefined ? await walk(work, rules) : await walkFrom(start, rules);
    this.#entriesLeft = Math.max(0, this.#entriesLeft - found.length);
    this.#walked.set(from, found);
    return found;
  }

  #try(glob: Glob, paths: readonly string[]): readonly boolean[] {
    const { clock } = this.#selection;
    const sinceMs = clock.monotonicMs();
    try {
      return glob.test(paths, Math.min(tryMaxMs, this.#msLeft));
    } finally {
      this.#msLeft = Math.max(0, this.#msLeft - (clock.monotonicMs() - sinceMs));
    }
  }
}

/** Lets others have their turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
