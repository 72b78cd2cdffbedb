import { constants } from 'node:fs';
import { chmod, type FileHandle, lstat, open, readlink, rename, rm, symlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault, isSystemError, RefusedError, refused } from '../base/errors.ts';
import { makeFolder } from '../base/make-folder.ts';
import { nameProblem, relativePathProblem } from '../base/names.ts';
import { hashFile, type RunningHash, startHash } from '../base/transfer/hash.ts';
import { type ArchivedFile, ArchivedFileKind, type FileWanted } from '../proto/gen/labrun/v1/archive.ts';
import type { Head } from './connect.ts';
import { readFiles } from './read-files.ts';

/** What a pull has to do. */
export interface PullPlan {
  readonly root: string;
  readonly wanted: readonly Wanted[];
  readonly folders: readonly Placed[];
  readonly links: readonly Placed[];
  /** Files that are here with the right content. */
  readonly unchanged: number;
  /** Bytes to fetch. */
  readonly bytes: number;
}

interface Placed {
  readonly file: ArchivedFile;
  /** Where it goes. */
  readonly path: string;
  /** What it is called until it is whole: no other file of those has that name. */
  readonly part: string;
}

interface Wanted extends Placed {
  /** Bytes that an interrupted pull has left. */
  readonly have: number;
}

/** What is added to a file's name until it is whole. */
const partSuffix = '.labrun-part';

/** Compares what the head lists with what is here. Throws `RefusedError` for a path that would leave the folder. */
export async function planPull(root: string, files: readonly ArchivedFile[]): Promise<PullPlan> {
  const wanted: Wanted[] = [];
  const folders: Placed[] = [];
  const links: Placed[] = [];
  let unchanged = 0;
  const places = new Set(files.map((file) => placeOf(root, file)));
  for (const file of files) {
    const path = placeOf(root, file);
    let part = path + partSuffix;
    while (places.has(part)) part += partSuffix;
    const placed = { file, path, part };
    if (file.kind === ArchivedFileKind.FOLDER) folders.push(placed);
    else if (file.kind === ArchivedFileKind.LINK) links.push(placed);
    else if (await isHere(placed)) unchanged++;
    else wanted.push({ ...placed, have: await partSize(placed) });
  }
  const bytes = wanted.reduce((sum, { file, have }) => sum + Number(file.size) - have, 0);
  return { root, wanted, folders, links, unchanged, bytes };
}

/**
 * Fetches what is missing; folders get their modes and links their targets last, so that nothing is written through
 * them. `fetched` is told of everything that arrives, in bytes. A part that turns out to be of something else is dropped,
 * and its file fetched once more from the beginning, which `note` is told.
 */
export async function fetchFiles(
  head: Head,
  batchId: string,
  plan: PullPlan,
  fetched: (done: number, total: number, job: string) => void,
  note: (line: string) => void,
): Promise<void> {
  await makeFolder(plan.root);
  for (const { path } of plan.folders) await makeFolderBelow(plan.root, path);
  let done = 0;
  const fetch = async (files: readonly Wanted[]): Promise<Wanted[]> => {
    const stale: Wanted[] = [];
    let current: Arriving | undefined;
    try {
      for await (const chunk of files.length === 0 ? [] : readFiles(head, batchId, files.map(requestFor))) {
        const wanted = files[chunk.file];
        if (!wanted) throw new Fault('protocol', 'Cannot pull: the head sent a file that was not asked for');
        current ??= await Arriving.begin(plan.root, wanted);
        await current.take(chunk.data, Number(chunk.offset));
        done += chunk.data.length;
        fetched(done, Math.max(done, plan.bytes), wanted.file.job);
        if (!chunk.last) continue;
        const arrived = current;
        current = undefined;
        if ((await arrived.finish()) !== 'stale') continue;
        stale.push({ ...wanted, have: 0 });
        note(`"${wanted.path}" has changed since a part of it was pulled: it is fetched from the beginning`);
      }
    } finally {
      await current?.pause();
    }
    return stale;
  };
  await fetch(await fetch(plan.wanted));
  for (const placed of plan.links) await makeLink(plan.root, placed);
  for (const { path, file } of plan.folders.toReversed()) await chmod(path, file.mode | 0o700);
}

function requestFor({ file, have }: Wanted): FileWanted {
  return { job: file.job, path: file.path, offset: BigInt(have) };
}

/** One file on its way in. Its part stays when the pull is interrupted. */
class Arriving {
  readonly #wanted: Wanted;
  readonly #file: FileHandle;
  readonly #hash: RunningHash;
  #offset: number;

  private constructor(wanted: Wanted, file: FileHandle, hash: RunningHash) {
    this.#wanted = wanted;
    this.#file = file;
    this.#hash = hash;
    this.#offset = wanted.have;
  }

  static async begin(root: string, wanted: Wanted): Promise<Arriving> {
    await makeFolderBelow(root, dirname(wanted.path));
    const { part } = wanted;
    const hash = startHash();
    const file = await openPart(part, wanted.have);
    try {
      if (wanted.have > 0) {
        const kept = file.createReadStream({ start: 0, end: wanted.have - 1, autoClose: false });
        for await (const data of kept) hash.update(data);
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    return new Arriving(wanted, file, hash);
  }

  async take(data: Uint8Array, offset: number): Promise<void> {
    if (offset !== this.#offset)
      throw new Fault('protocol', `Cannot pull "${this.#wanted.path}": the head left out bytes`);
    // A disk that is nearly full takes a part of it, without an error.
    for (let at = 0; at < data.length; ) {
      const { bytesWritten } = await this.#file.write(data, at, data.length - at, offset + at);
      at += bytesWritten;
    }
    this.#hash.update(data);
    this.#offset += data.length;
  }

  /** Checks the whole and gives the file its name; `stale` when what an earlier pull left was of something else. */
  async finish(): Promise<'done' | 'stale'> {
    const { path, part, file, have } = this.#wanted;
    await this.#file.close();
    if (file.hash !== '' && this.#hash.digest() !== file.hash) {
      await rm(part, { force: true });
      if (have > 0) return 'stale';
      throw new Fault('damaged', `Cannot pull "${path}": what arrived is not what was archived; pull again`);
    }
    await chmod(part, (file.mode & 0o777) | 0o600);
    if (file.hash === '') await utimes(part, new Date(), new Date(Number(file.modifiedAtMs)));
    await rename(part, path);
    return 'done';
  }

  async pause(): Promise<void> {
    await this.#file.close();
  }
}

/**
 * Opens a part to go on with, or a new one in place of whatever has its name. Never through a link: a job may have
 * archived one of just that name, which would lead what arrives to any file of whoever pulls.
 */
async function openPart(path: string, have: number): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  if (have > 0) return open(path, O_RDWR | O_NOFOLLOW);
  await rm(path, { force: true });
  return open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
}

/** Where a listed file goes. What the head says is checked as if it were a stranger's. */
function placeOf(root: string, file: ArchivedFile): string {
  const problem = file.job === '' ? undefined : nameProblem(file.job);
  const wrong = problem ?? relativePathProblem(file.path);
  if (wrong !== undefined)
    throw new RefusedError(refused('invalid', `Cannot pull "${file.job}/${file.path}": its path ${wrong}`));
  return join(root, file.job, file.path);
}

/** By its hash; a file that has none by its size and the time of its last change, which a pull gives it. */
async function isHere({ file, path }: Placed): Promise<boolean> {
  try {
    const found = await lstat(path);
    if (!found.isFile() || found.size !== Number(file.size)) return false;
    if (file.hash === '') return file.modifiedAtMs > 0n && Math.round(found.mtimeMs) === Number(file.modifiedAtMs);
    return (await hashFile(path)) === file.hash;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Nothing for a file without a hash: whether its part is of what is there now, nobody could say afterwards. */
async function partSize({ file, part }: Placed): Promise<number> {
  if (file.hash === '') return 0;
  try {
    const found = await lstat(part);
    return found.isFile() && found.size <= Number(file.size) ? found.size : 0;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return 0;
    throw error;
  }
}

/** Makes a folder below the root, and refuses to go through a link on the way: it could lead anywhere. */
async function makeFolderBelow(root: string, path: string): Promise<void> {
  for (let at = path; at.length > root.length; at = dirname(at)) {
    if (await isLink(at)) {
      throw new RefusedError(
        refused('invalid', `Cannot pull into "${path}": "${at}" is a link; move it away or pull --to another folder`),
      );
    }
  }
  await makeFolder(path);
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink();
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function makeLink(root: string, { file, path }: Placed): Promise<void> {
  await makeFolderBelow(root, dirname(path));
  try {
    if ((await readlink(path)) === file.linkTarget) return;
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'EINVAL')) throw error;
  }
  await rm(path, { force: true });
  await symlink(file.linkTarget, path);
}
