import type { ContentHash } from '../../base/transfer/hash.ts';
import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import type { BatchSpec, JobGroup, SourceEntry } from '../spec.ts';
import { jobNameOf, placeholdersIn, renderText } from '../template.ts';
import { eachBounded } from './bounded.ts';
import { combinations } from './combinations.ts';
import type { Draft, DraftInput } from './draft.ts';
import { type HashedFile, hashSource } from './hash-source.ts';
import { type Found, SourceError, scanGlob, scanSource } from './scan-source.ts';

/** How far the hashing of a batch's files is. */
export interface HashProgress {
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
}

/** What all inputs of a batch stand for, and where each content is on this machine. */
export interface FoundSources {
  readonly sources: BatchSpec['sources'];
  readonly files: ReadonlyMap<ContentHash, HashedFile>;
}

/** Files that are looked at or read at the same time. */
const openMax = 16;

/** Looks at every path the jobs will need and hashes each file once. Notes what is missing, unreadable or changing. */
export async function findSources(
  written: Written,
  draft: Draft,
  folder: string,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly onHashed?: ((progress: HashProgress) => void) | undefined;
  },
): Promise<FoundSources> {
  const wanted = wantedSources(draft);
  const found = new Map<string, readonly Found[]>();
  await eachBounded([...wanted.values()], openMax, async (want) => {
    options.signal?.throwIfAborted();
    const result = await attempt(written, want, () => scan(folder, want));
    if (result !== undefined) found.set(want.source, result);
  });
  const hashed = await hashAll(written, wanted, found, options);
  const sources: Record<string, SourceEntry[]> = {};
  for (const source of wanted.keys()) {
    const entries = (found.get(source) ?? []).map((entry) => entryOf(entry, hashed));
    sources[source] = entries.filter((entry) => entry !== undefined);
  }
  return { sources, files: new Map([...hashed.values()].map((file) => [file.hash, file])) };
}

interface Wanted {
  readonly source: string;
  readonly input: DraftInput;
  readonly base: string | undefined;
  readonly at: Path;
  readonly job: string | undefined;
}

function wantedSources(draft: Draft): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  const add = (input: DraftInput, group: JobGroup | undefined) => {
    for (const { params } of combinations(group?.matrix, [input.source])) {
      const source = renderText(input.source, params);
      // An axis that does not exist has been told already.
      if (wanted.has(source) || placeholdersIn(source).length > 0) continue;
      const base = input.glob && renderText(input.glob.base, params);
      const job = group && source !== input.source ? jobNameOf(group, params) : undefined;
      wanted.set(source, { source, input, base, at: input.at, job });
    }
  };
  for (const input of [...draft.buildInputs, ...draft.initialInputs]) add(input, undefined);
  for (const { group, inputs } of draft.groups) for (const input of inputs) add(input, group);
  return wanted;
}

async function scan(folder: string, { source, input, base }: Wanted): Promise<readonly Found[]> {
  if (base !== undefined) return scanGlob(folder, source, base);
  const found = await scanSource(folder, source);
  if (input.fileOnly && found[0]?.kind === 'folder') throw new SourceError(`"${source}" is a folder; a file is needed`);
  return found;
}

async function hashAll(
  written: Written,
  wanted: ReadonlyMap<string, Wanted>,
  found: ReadonlyMap<string, readonly Found[]>,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly onHashed?: ((progress: HashProgress) => void) | undefined;
  },
): Promise<ReadonlyMap<string, HashedFile>> {
  const tasks = new Map<string, { absolute: string; shown: string; want: Wanted }>();
  let bytesTotal = 0;
  for (const [source, want] of wanted) {
    for (const entry of found.get(source) ?? []) {
      if (entry.kind !== 'file' || tasks.has(entry.absolute)) continue;
      const shown = entry.path === '' ? source : `${(want.base ?? source).replace(/\/$/, '')}/${entry.path}`;
      tasks.set(entry.absolute, { absolute: entry.absolute, shown: shown.replace(/^\//, ''), want });
      bytesTotal += entry.sizeBytes;
    }
  }
  const hashed = new Map<string, HashedFile>();
  let bytes = 0;
  const say = () => options.onHashed?.({ files: hashed.size, filesTotal: tasks.size, bytes, bytesTotal });
  await eachBounded([...tasks.values()], openMax, async ({ absolute, shown, want }) => {
    const onRead = (count: number) => {
      bytes += count;
      say();
    };
    const file = await attempt(written, want, () => hashSource(absolute, shown, onRead, options.signal));
    if (file !== undefined) hashed.set(absolute, file);
    say();
  });
  return hashed;
}

async function attempt<Result>(
  written: Written,
  want: Wanted,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    written.problem(want.at, error.message, want.job);
    return undefined;
  }
}

function entryOf(entry: Found, hashed: ReadonlyMap<string, HashedFile>): SourceEntry | undefined {
  if (entry.kind !== 'file') return entry;
  const file = hashed.get(entry.absolute);
  return file && { kind: 'file', path: entry.path, hash: file.hash, sizeBytes: file.sizeBytes, mode: entry.mode };
}
