import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, symlink, utimes } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { relativePathProblem } from '../../base/names.ts';
import { asContentHash } from '../../base/transfer/hash.ts';
import type { BatchSpec, Input, Params, SourceEntry } from '../../config/spec.ts';
import { renderText } from '../../config/template.ts';
import type { BlobCache } from '../ports.ts';
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

/** Lays out inputs below a folder. What lies at their paths already is replaced: files of a job win over its build's. */
export async function placeInputs(from: InputSource, inputs: readonly Input[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const entries = inputs.flatMap((input) => {
    const as = placeOf(input, from.params);
    return entriesOf(from, input).map((entry) => ({ entry, target: join(folder, as, entry.path) }));
  });
  // Folders first, in order, so that modes are set when all is inside; links last, so that no file goes through one.
  for (const { entry, target } of entries) if (entry.kind === 'folder') await mkdir(target, { recursive: true });
  const files = entries.filter(({ entry }) => entry.kind === 'file');
  await Promise.all(Array.from({ length: Math.min(atOnceMax, files.length) }, () => placeNext(from, files)));
  for (const { entry, target } of entries) {
    if (entry.kind !== 'link') continue;
    await makeRoom(target);
    await symlink(entry.target, target);
  }
  for (const { entry, target } of entries.reverse()) {
    if (entry.kind === 'folder') await chmod(target, entry.mode | 0o700);
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

async function placeNext(from: InputSource, files: { entry: SourceEntry; target: string }[]): Promise<void> {
  for (let next = files.pop(); next !== undefined; next = files.pop()) {
    from.signal.throwIfAborted();
    if (next.entry.kind !== 'file') continue;
    const content = await obtain(from, next.entry);
    await makeRoom(next.target);
    // A copy, never a hard link: a job may write to its inputs, and the cache must stay what its hashes say.
    await copyFile(content, next.target, constants.COPYFILE_FICLONE);
    await chmod(next.target, next.entry.mode);
    const writtenS = (from.clock.nowMs() - datedBackMs) / 1000;
    await utimes(next.target, writtenS, writtenS);
  }
}

async function obtain(from: InputSource, entry: SourceEntry & { kind: 'file' }): Promise<string> {
  const hash = asContentHash(entry.hash);
  if (!hash) throw new Fault('invalid-input', `Cannot lay out a file: "${entry.hash}" is no hash`);
  return from.cache.obtain(from.namespace, hash, entry.sizeBytes, from.holder, from.signal);
}

async function makeRoom(target: string): Promise<void> {
  await removeTree(target);
  await mkdir(dirname(target), { recursive: true });
}
