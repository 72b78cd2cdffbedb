import { fchmodSync, fstatSync } from 'node:fs';
import { chmod, lstat, realpath, rename, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { atOnce } from '../at-once.ts';
import { isSystemError } from '../errors.ts';
import { KeptFolder, type ListedEntry } from './kept-folder.ts';

/** Entries that are listed, and those that are removed, at the same time. */
const listedMax = 1_024;
const atOnceMax = 16;
/** Where folders go on their way out; a number follows. */
const aside = '.labrun-gone-';

/**
 * Removes a file or a folder with all that is in it, however deep it goes and whoever still changes it: everything is
 * named by the held folder it is in, so that a link in the place of a folder leads nowhere. A folder that is not empty is
 * moved up to the top before it is looked into, so no path grows, and no more than a few descriptors are open. Read-only folders
 * are made writable. Fine when it is not there, or only in part.
 */
export async function removeGuarded(path: string): Promise<void> {
  const facts = await ignoring(lstat(path), 'ENOENT');
  if (facts === undefined) return;
  if (!facts.isDirectory()) return void (await ignoring(unlink(path), 'ENOENT'));
  // The folder that it is in is ours.
  const real = join(await realpath(dirname(path)), basename(path));
  const top = await opened(real, () => new KeptFolder(real));
  try {
    await new Removal(top).run();
  } finally {
    top.close();
  }
  await rmdir(real);
}

class Removal {
  readonly #top: KeptFolder;
  #moved = 0;

  constructor(top: KeptFolder) {
    this.#top = top;
  }

  async run(): Promise<void> {
    await this.#empty(this.#top, (entry) => this.#removeInTop(entry));
  }

  /** Does away with all entries of a folder, a piece of the list at a time. */
  async #empty(folder: KeptFolder, remove: (entry: ListedEntry) => Promise<void>): Promise<void> {
    for (;;) {
      const entries = await folder.list(listedMax);
      if (entries.length === 0) return;
      // It waits for all it has begun: the folder is closed then, and its number may soon stand for another one.
      await atOnce(atOnceMax, entries, remove);
    }
  }

  async #removeInTop({ name, isFolder }: ListedEntry): Promise<void> {
    if (await removePlain(this.#top.at(name), isFolder)) return;
    const folder = await this.#enter(this.#top, name);
    if (folder === undefined) return;
    try {
      await this.#empty(folder, (entry) => this.#removeBelow(folder, entry));
    } finally {
      folder.close();
    }
    // Not empty again: then somebody is at it, and the next list has it.
    await ignoring(rmdir(this.#top.at(name)), 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR');
  }

  async #removeBelow(folder: KeptFolder, { name, isFolder }: ListedEntry): Promise<void> {
    if (await removePlain(folder.at(name), isFolder)) return;
    // Who may not write a folder may not move it to another one.
    (await this.#enter(folder, name))?.close();
    for (;;) {
      const to = this.#top.at(`${aside}${this.#moved++}`);
      try {
        return await rename(folder.at(name), to);
      } catch (error) {
        if (isSystemError(error, 'ENOENT')) return;
        // The job has something of this name, too.
        if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EISDIR')) throw error;
      }
    }
  }

  /** A folder in a folder, writable by us; nothing when it is none any more. */
  async #enter(folder: KeptFolder, name: Buffer): Promise<KeptFolder | undefined> {
    try {
      return await opened(folder.at(name), () => folder.enter(name));
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
      throw error;
    }
  }
}

/** Removes what is no folder, or an empty one. Answers false for a folder with something in it. */
async function removePlain(path: Buffer, isFolder: boolean): Promise<boolean> {
  try {
    await (isFolder ? rmdir(path) : unlink(path));
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return true;
    if (isSystemError(error, 'ENOTEMPTY', 'EEXIST')) return false;
    // It has become something else since it was listed, or the list did not say.
    if (isSystemError(error, isFolder ? 'ENOTDIR' : 'EISDIR')) return removePlain(path, !isFolder);
    if (!isFolder && isSystemError(error, 'EPERM') && (await lstat(path)).isDirectory()) return removePlain(path, true);
    throw error;
  }
}

/** Opens a folder and makes it one that we may list and change. */
async function opened(path: string | Buffer, open: () => KeptFolder): Promise<KeptFolder> {
  let folder: KeptFolder;
  try {
    folder = open();
  } catch (error) {
    if (!isSystemError(error, 'EACCES')) throw error;
    // Only who is not root comes here: then this can reach nothing that the job itself could not.
    await chmod(path, 0o700);
    folder = open();
  }
  if ((fstatSync(folder.fd).mode & 0o700) !== 0o700) fchmodSync(folder.fd, 0o700);
  return folder;
}

async function ignoring<Value>(work: Promise<Value>, ...codes: string[]): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isSystemError(error, ...codes)) return undefined;
    throw error;
  }
}
