import { lstat, readdir, rm, stat, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { assert } from '../../base/assert.ts';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import { manifestEntriesMax, manifestPathProblem } from '../../base/transfer/manifest.ts';
import { diskTrouble } from './durable.ts';
import type { StageFiles } from './stage-writer.ts';
import { type Piece, StagedFile, type Taken } from './staged-file.ts';
import type { StagingShare } from './staging-usage.ts';

/** Files of one attempt that may be open at once; the longest unused is closed first. */
const openMax = 64;

/** What is here of a file. */
export interface StagedFacts {
  readonly path: string;
  readonly sizeBytes: number;
  readonly hash: ContentHash | undefined;
}

/** The files of one attempt on their way in. Pieces of one file are taken in the order they came. */
export class StagedAttempt {
  readonly folder: string;
  readonly #disk: StageFiles;
  readonly #share: StagingShare;
  readonly #files: Map<string, StagedFile>;
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #open = new Map<string, StagedFile>();
  readonly #links: string[] = [];
  readonly #listeners = new Set<(path: string) => void>();
  #bytes = 0;
  #sealed = false;
  #sealedAs: ContentHash | undefined;
  /** Done once, before anything is written: an earlier head may have made links. */
  #linkless: Promise<void> | undefined;
  #closed = false;

  private constructor(folder: string, files: Map<string, StagedFile>, share: StagingShare, disk: StageFiles) {
    this.folder = folder;
    this.#disk = disk;
    this.#files = files;
    this.#share = share;
    for (const { sizeBytes } of files.values()) this.#grow(sizeBytes);
  }

  /** Picks up what an earlier head or stream has left. `share` is told how many bytes more, or less, are here. */
  static async open(folder: string, share: StagingShare, disk: StageFiles): Promise<StagedAttempt> {
    const files = new Map<string, StagedFile>();
    for await (const path of filesUnder(folder, '')) {
      files.set(path, new StagedFile(join(folder, path), (await stat(join(folder, path))).size, disk));
    }
    return new StagedAttempt(folder, files, share, disk);
  }

  /** Takes a piece of a file. Throws `RefusedError` for a bad path, a full disk, or an attempt being accepted. */
  async take(path: string, piece: Piece): Promise<Taken> {
    const taken = await this.#inTurn(path, async () => {
      if (this.#sealed) {
        throw new RefusedError(refused('conflict', `Cannot take "${path}": the attempt's end is being accepted`));
      }
      const file = this.#file(path);
      const before = file.sizeBytes;
      try {
        await this.#dropOldLinks();
        const answer = await this.#takeMakingWay(path, file, piece);
        await this.#noteOpen(path, file);
        return answer;
      } catch (error) {
        await file.close();
        throw diskTrouble(error, `take "${path}"`);
      } finally {
        this.#grow(file.sizeBytes - before);
      }
    });
    for (const listener of this.#listeners) listener(path);
    return taken;
  }

  /** Everything that is here. */
  list(): StagedFacts[] {
    return [...this.#files].map(([path, file]) => ({ path, sizeBytes: file.sizeBytes, hash: file.verified }));
  }

  facts(path: string): StagedFacts | undefined {
    const file = this.#files.get(path);
    return file && { path, sizeBytes: file.sizeBytes, hash: file.verified };
  }

  /** The hash of a file's present content; nothing when the file is not here. */
  async hashOf(path: string): Promise<ContentHash | undefined> {
    const file = this.#files.get(path);
    return file && (await this.#inTurn(path, () => file.currentHash()));
  }

  /** Removes a file, such as one the job deleted after it had travelled. */
  async remove(path: string): Promise<void> {
    await this.#inTurn(path, async () => {
      const file = this.#files.get(path);
      await file?.close();
      if (this.#files.delete(path)) this.#grow(-(file?.sizeBytes ?? 0));
      try {
        await unlink(join(this.folder, path));
      } catch (error) {
        // What is there now, or above it, is no file any more.
        if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) throw error;
      }
    });
  }

  /** Whether its namespace has used up what may be here before its jobs have ended. */
  get isCrowded(): boolean {
    return this.#share.isFull();
  }

  /** Bytes of everything that is here. */
  get sizeBytes(): number {
    return this.#bytes;
  }

  /** The hash of the manifest that it was sealed with; nothing while it may change. */
  get sealedAs(): ContentHash | undefined {
    return this.#sealedAs;
  }

  /** All of it is on the disk, as this manifest says. */
  noteSealed(manifestHash: ContentHash): void {
    assert(this.#sealed, 'it changes no more');
    this.#sealedAs = manifestHash;
  }

  /** Whether it is over for good: accepted, or dropped. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Ends it for good, and tells those who listen. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.seal();
    this.#grow(-this.#bytes);
    for (const listener of this.#listeners) listener('');
  }

  /** Takes nothing more until `unseal`, and closes every file. */
  async seal(): Promise<void> {
    this.#sealed = true;
    await Promise.allSettled(this.#turns.values());
    for (const file of this.#open.values()) await file.close();
    this.#open.clear();
  }

  /** Gives its files their modes and brings them to the disk. Only while sealed. */
  async keep(files: readonly { readonly path: string; readonly mode: number | undefined }[]): Promise<void> {
    assert(this.#sealed, 'what is kept changes no more');
    await this.#disk.keep(files.map(({ path, mode }) => ({ path: join(this.folder, path), mode })));
  }

  /** Makes a symbolic link of the manifest. Only while sealed: nothing may be written through it. */
  async addLink(path: string, target: string): Promise<void> {
    assert(this.#sealed, 'links come last');
    const where = join(this.folder, path);
    await makeFolder(dirname(where));
    await symlink(target, where);
    this.#links.push(where);
  }

  /** Takes pieces again: what is here was not what the manifest says. */
  async unseal(): Promise<void> {
    this.#sealedAs = undefined;
    await this.#dropOldLinks();
    for (const where of this.#links.splice(0)) await rm(where, { force: true });
    this.#sealed = false;
  }

  /** Calls `listener` whenever something arrives, until the returned function is called. */
  onArrival(listener: (path: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Only whoever changes it does: it may have been accepted, and its links are part of it then. */
  #dropOldLinks(): Promise<void> {
    this.#linkless ??= dropLinks(this.folder).catch((error: unknown) => {
      this.#linkless = undefined;
      throw error;
    });
    return this.#linkless;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (bytes !== 0) this.#share.grow(bytes);
  }

  #file(path: string): StagedFile {
    const known = this.#files.get(path);
    if (known) return known;
    const problem = stagedPathProblem(path);
    if (problem) throw new RefusedError(refused('invalid', `Cannot take "${path}": it ${problem}`));
    if (this.#files.size >= manifestEntriesMax) {
      throw new RefusedError(
        refused('limit', `Cannot take "${path}": the attempt has over ${manifestEntriesMax} files`),
      );
    }
    const file = new StagedFile(join(this.folder, path), 0, this.#disk);
    this.#files.set(path, file);
    return file;
  }

  /** A job may have made a folder where a file was that had travelled already, or the other way round. */
  async #takeMakingWay(path: string, file: StagedFile, piece: Piece): Promise<Taken> {
    try {
      return await file.take(piece);
    } catch (error) {
      if (!isSystemError(error, 'ENOTDIR', 'EISDIR', 'EEXIST')) throw error;
    }
    for (const other of [...this.#files.keys()]) {
      if (path.startsWith(`${other}/`) || other.startsWith(`${path}/`)) await this.remove(other);
    }
    // Another piece may be making way for itself just now.
    if (await isFolder(file.path)) await rm(file.path, { recursive: true, force: true });
    return await file.take(piece);
  }

  async #noteOpen(path: string, file: StagedFile): Promise<void> {
    this.#open.delete(path);
    if (file.isOpen) this.#open.set(path, file);
    if (this.#open.size <= openMax) return;
    for (const [oldestPath, oldest] of this.#open) {
      // One that is in use keeps its handle; it comes back here after its piece.
      if (this.#turns.has(oldestPath)) continue;
      this.#open.delete(oldestPath);
      await oldest.close();
      return;
    }
  }

  async #inTurn<T>(path: string, act: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(path);
    const turn = before === undefined ? act() : before.then(act, act);
    this.#turns.set(path, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(path) === turn) this.#turns.delete(path);
    }
  }
}

/** What is wrong with the name of a file on the wire, or nothing. */
function stagedPathProblem(path: string): string | undefined {
  if (path === 'log' || path === 'manifest') return undefined;
  if (!path.startsWith('archive/')) return 'is neither "log", "manifest" nor under "archive/"';
  return manifestPathProblem(path.slice('archive/'.length), undefined);
}

/** Nothing there is no folder; a disk that does not answer is a fault, and not to be taken for one or the other. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function* filesUnder(folder: string, below: string): AsyncGenerator<string> {
  let entries: Awaited<ReturnType<typeof listFolder>>;
  try {
    entries = await listFolder(join(folder, below));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return;
    throw error;
  }
  for (const entry of entries) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) yield* filesUnder(folder, path);
    else if (entry.isFile() && stagedPathProblem(path) === undefined) yield path;
  }
}

/** Links that an accepted manifest would have made, had the head not been restarted just then. */
async function dropLinks(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  });
  for (const entry of entries) if (entry.isSymbolicLink()) await rm(join(entry.parentPath, entry.name));
}

function listFolder(path: string) {
  return readdir(path, { withFileTypes: true });
}
