import { link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { type AttemptId, attemptId } from '../../base/ids.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { manifestEntries, manifestPathProblem } from '../../base/transfer/manifest.ts';
import type { Tree } from '../../base/transfer/tree.ts';
import type { InlineArchive } from '../scheduler/event.ts';
import { syncFolder } from './durable.ts';
import { type ArchiveLayout, type BatchPlace, inlineSuffix, ownFolder } from './layout.ts';
import { type AcceptedAttempt, attemptIn, manifestIn, metaText } from './meta-file.ts';
import { placeOfResult } from './place-of-result.ts';

/** Where an accepted attempt belongs. */
export interface Destination {
  readonly place: BatchPlace;
  /** Its `distribute` origin asks for `<job>_output.txt`. */
  readonly withOutputFile: boolean;
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * Makes an accepted attempt's staged files part of the tree, by renames. Repeatable at any point: what is done already
 * is not done again, and a folder that a later attempt has taken stays its own.
 */
export async function publishStaged(layout: ArchiveLayout, accepted: AcceptedAttempt, to: Destination): Promise<void> {
  const staging = layout.staging(idOf(accepted, to.place));
  const files = join(staging, 'archive');
  const own = join(files, ownFolder);
  if (!(await makeUnder(staging, own))) return;
  // On the disk as the rest of it is: when this is repeated nothing is staged any more, and nobody would write it again.
  await writeFile(join(own, 'meta.json'), metaText(accepted, to.versions), { flush: true });
  for (const name of ['log', 'manifest']) await renameIfThere(join(staging, name), join(own, name));
  if (to.withOutputFile) await linkIfFree(join(own, 'log'), join(files, `${accepted.job.name}_output.txt`));
  await syncFolder(own);
  await takePlace(layout, accepted, to.place, files);
  await rm(staging, { recursive: true, force: true });
}

/** Puts a finished tree where it belongs: in the job's folder, or among the earlier attempts. */
export async function takePlace(
  layout: ArchiveLayout,
  accepted: Pick<AcceptedAttempt, 'job' | 'attempt' | 'manifestHash' | 'lastGiven'>,
  place: BatchPlace,
  tree: string,
): Promise<void> {
  const folder = layout.jobFolder(place, accepted.job.name);
  const earlier = (attempt: number) => layout.earlierAttempt(place, accepted.job.name, attempt);
  const attempt = await attemptIn(folder);
  const there = typeof attempt === 'number' ? { attempt, manifestHash: await manifestIn(folder) } : attempt;
  const where = placeOfResult(accepted, there, accepted.lastGiven);
  if (where === 'there') return;
  if (where === 'earlier') return await moveInto(tree, earlier(accepted.attempt));
  if (typeof there === 'object') {
    const hash = there.manifestHash?.slice('blake3:'.length).slice(0, 12) ?? '';
    await moveInto(folder, where === 'in its place' ? earlier(there.attempt) : `${earlier(there.attempt)}.${hash}`);
  }
  await moveInto(tree, folder);
}

/** The tree of an archive that travelled inside its event. */
export function inlineTree(
  layout: ArchiveLayout,
  accepted: AcceptedAttempt,
  inline: InlineArchive,
  to: Destination,
): Tree {
  const { place } = to;
  const data = new Map(inline.files.map((file) => [file.path, new Uint8Array(file.data)]));
  // Copies: what came from the wire is a small view of a large buffer, and a worker would be sent all of that.
  const folders = [{ path: ownFolder, mode: 0o755 }];
  const made = new Set([ownFolder]);
  const files = [
    { path: `${ownFolder}/manifest`, data: new Uint8Array(inline.manifest), mode: 0o644 },
    { path: `${ownFolder}/meta.json`, data: Buffer.from(metaText(accepted, to.versions)), mode: 0o644 },
  ];
  const links: { path: string; target: string }[] = [];
  const makeParents = (path: string) => {
    for (let cut = path.indexOf('/'); cut > 0; cut = path.indexOf('/', cut + 1)) {
      const parent = path.slice(0, cut);
      if (!made.has(parent)) folders.push({ path: parent, mode: 0o755 });
      made.add(parent);
    }
  };
  for (const entry of manifestEntries(inline.manifest)) {
    makeParents(entry.path);
    if (entry.kind === 'link') links.push(entry);
    else if (entry.kind === 'folder') {
      if (!made.has(entry.path)) folders.push({ path: entry.path, mode: entry.mode | 0o700 });
      made.add(entry.path);
    } else if (manifestPathProblem(entry.path, undefined) === undefined) {
      const content = data.get(`archive/${entry.path}`) ?? new Uint8Array();
      files.push({ path: entry.path, data: content, mode: (entry.mode & 0o777) | 0o600 });
    }
  }
  const log = data.get('log') ?? new Uint8Array();
  files.push({ path: `${ownFolder}/log`, data: log, mode: 0o644 });
  const output = `${accepted.job.name}_output.txt`;
  if (to.withOutputFile && !data.has(`archive/${output}`)) files.push({ path: output, data: log, mode: 0o644 });
  const temporary = `${layout.staging(idOf(accepted, place))}${inlineSuffix}`;
  return { temporary, target: layout.jobFolder(place, accepted.job.name), folders, files, links };
}

function idOf(accepted: AcceptedAttempt, place: BatchPlace): AttemptId {
  return attemptId({ batchId: place.batchId, index: accepted.index }, accepted.attempt);
}

/** Makes `folder` inside `staging`; false when nothing is staged any more, because this was done before. */
async function makeUnder(staging: string, folder: string): Promise<boolean> {
  try {
    await mkdir(join(staging, 'archive'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    if (!isSystemError(error, 'EEXIST')) throw error;
  }
  await makeFolder(folder);
  return true;
}

async function moveInto(from: string, to: string): Promise<void> {
  await makeFolder(dirname(to));
  try {
    await rename(from, to);
  } catch (error) {
    // Done before, by a head that was killed just then.
    if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST')) throw error;
    await rm(from, { recursive: true, force: true });
  }
  await syncFolder(dirname(to));
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT')) throw error;
  });
}

async function linkIfFree(from: string, to: string): Promise<void> {
  await link(from, to).catch((error: unknown) => {
    // No log, or a file of that name that the job made itself.
    if (!isSystemError(error, 'ENOENT', 'EEXIST')) throw error;
  });
}
