import { readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { background } from '../../base/background.ts';
import { isSystemError, messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { syncFolder } from './durable.ts';

/**
 * Where trees go that are no longer wanted. A rename takes them out of the archive at once; their files, which may be
 * millions, are removed behind everything else, one tree at a time, and what a head that ends leaves is removed by the next.
 */
export class Trash {
  readonly #folder: string;
  readonly #log: Log;
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  /** `folder`: on the same filesystem as the trees. */
  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Makes the folder, and goes on with what is in it. */
  async start(): Promise<void> {
    await makeFolder(this.#folder);
    for (const name of await readdir(this.#folder)) this.#remove(join(this.#folder, name));
  }

  /** Takes a tree out of its place; `name` is used once. Nothing there, nothing done. */
  async take(path: string, name: string): Promise<void> {
    const to = join(this.#folder, basename(name));
    try {
      await rename(path, to);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return;
      throw error;
    }
    await syncFolder(dirname(path));
    this.#remove(to);
  }

  /** Resolves when everything taken so far is gone, or when it was closed. */
  async empty(): Promise<void> {
    await this.#work;
  }

  /** Finishes the tree at hand. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#work;
  }

  #remove(path: string): void {
    this.#work = this.#work.then(async () => {
      if (this.#closed) return;
      try {
        await rm(path, { recursive: true, force: true });
      } catch (error) {
        this.#log.warn(
          { path, error: messageOf(error) },
          'cannot remove a tree that was deleted; the next start tries again',
        );
      }
    });
    background(this.#work);
  }
}
