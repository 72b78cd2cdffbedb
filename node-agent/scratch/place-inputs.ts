import { constants } from 'node:fs';
import { chmod, copyFile, realpath, symlink, utimes } from 'node:fs/promises';
import { basename, dirname, join, normalize } from 'node:path';
import { atOnce } from '../../base/at-once.ts';
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { relativePathProblem } from '../../base/names.ts';
import { asContentHash } from '../../base/transfer/hash.ts';
import type { BatchSpec, Input, Params, SourceEntry } from '../../config/spec.ts';
import { renderText } from '../../config/template.ts';
import type { BlobCache } from '../ports.ts';
import { makeInside } from './inside.ts';
import { removeTree } from './remove-tree.ts';

/** Whose inputs are laid out, and from where. */
export interface InputSource {
  readonly spec: BatchSpec;
  readonly namespace: string;
  readonly params: Params;
  readonly cache: BlobCache;
  /** Who pins the contents in the cache. */
  readonly holder: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Contents that are fetched and laid out at the same time. */
const atOnceMax = 8;
/**
 * Inputs are dated a little back. What the job writes is then newer by its time alone, also within one tick of a
 * filesystem's clock.
 */
const datedBackMs = 2000;

/**
 * Lays out inputs below a folder. What lies at their paths already is replaced: files of a job win over its build's. The
 * build may have left links on the way, and so may an input: none is gone through out of the folder.
 */
export async function placeInputs(from: InputSource, inputs: readonly Input[], folder: string): Promise<void> {
  await makeFolder(folder);
  if ((await realpath(folder)) !== folder) {
    throw new Fault('invalid-input', `Cannot lay out files in "${basename(folder)}": the build made it a link`);
  }
  const entries = inputs.flatMap((input) => {
    const as = placeOf(input, from.params);
    return entriesOf(from, input).map((entry) => ({ entry, target: join(folder, as, entry.path) }));
  });
  const made: [path: string, mode: number][] = [];
  for (const { entry, target } of entries) {
    if (entry.kind === 'folder') made.push([await makeInside(folder, target), (entry.mode & 0o777) | 0o700]);
  }
  // Of two with one name the later wins: a job's own over the batch's.
  const files = new Map(entries.flatMap((one) => (one.entry.kind === 'file' ? [[one.target, one]] : [])));
  const places = new Places(folder);
  await atOnce(atOnceMax, files.values(), (file) => placeFile(from, file, places));
  // Modes when all is inside; links last, so that neither a file nor a mode goes through one.
  for (const [path, mode] of made.reverse()) await chmod(path, mode);
  for (const { entry, target } of entries) {
    if (entry.kind !== 'link') continue;
    const real = join(await makeInside(folder, dirname(target)), basename(target));
    await removeTree(real);
    await symlink(entry.target, real);
  }
}

/** The path of an input's verified content in the cache, for reading in place. Throws `Fault` unless it is one file. */
export async function contentOf(from: InputSource, input: Input): Promise<string> {
  const [entry, ...others] = entriesOf(from, input);
  if (entry?.kind !== 'file' || others.length > 0) {
    throw new Fault('invalid-input', `Cannot use "${input.source}": it must be one file`);
  }
  return obtain(from, entry);
}

function placeOf(input: Input, params: Params): string {
  const as = normalize(renderText(input.as, params)).replace(/\/+$/, '');
  const problem = as === '.' ? undefined : relativePathProblem(as);
  if (problem) throw new Fault('invalid-input', `Cannot lay out "${input.source}" as "${as}": the path ${problem}`);
  return as;
}

function entriesOf(from: InputSource, input: Input): readonly SourceEntry[] {
  const source = renderText(input.source, from.params);
  const entries = from.spec.sources[source];
  if (entries === undefined) throw new Fault('invalid-input', `Cannot lay out "${source}": the batch does not hold it`);
  const wrong = entries.find(({ path }) => path !== '' && relativePathProblem(path) !== undefined);
  if (wrong) throw new Fault('invalid-input', `Cannot lay out "${source}": "${wrong.path}" leaves its folder`);
  return entries;
}

/** Folders that files go to, each found once. */
class Places {
  readonly #root: string;
  readonly #real = new Map<string, Promise<string>>();

  constructor(root: string) {
    this.#root = root;
  }

  async of(target: string): Promise<string> {
    const folder = dirname(target);
    const real = this.#real.get(folder) ?? makeInside(this.#root, folder);
    this.#real.set(folder, real);
    return join(await real, basename(target));
  }
}

async function placeFile(
  from: InputSource,
  { entry, target: asked }: { entry: SourceEntry; target: string },
  places: Places,
): Promise<void> {
  from.signal.throwIfAborted();
  if (entry.kind !== 'file') return;
  const content = await obtain(from, entry);
  const target = await places.of(asked);
  await removeTree(target);
  // A copy, never a hard link: a job may write to its inputs, and the cache must stay what its hashes say.
  await copyFile(content, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  await chmod(target, entry.mode & 0o777);
  const writtenS = (from.clock.nowMs() - datedBackMs) / 1000;
  await utimes(target, writtenS, writtenS);
}

async function obtain(from: InputSource, entry: SourceEntry & { kind: 'file' }): Promise<string> {
  const hash = asContentHash(entry.hash);
  if (!hash) throw new Fault('invalid-input', `Cannot lay out a file: "${entry.hash}" is no hash`);
  return from.cache.obtain(from.namespace, hash, entry.sizeBytes, from.holder, from.signal);
}
