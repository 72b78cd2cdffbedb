import { lstatSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from './remove-tree.ts';

/** Empty homes that are kept; more are removed. */
const sparesMax = 16;
const prefix = 'spare-';
/** A folder that has grown beyond this is not listed without waiting: it may hold millions. On some disks it never shrinks. */
export const listedMaxBytes = 65_536;
/** What a home holds when its job left nothing: these folders, empty, and these files. */
const folderNames: readonly string[] = ['work', 'archive', 'tmp', 'home'];
const fileNames: readonly string[] = ['identity', 'exit', 'log', 'run.sh'];

/**
 * Homes of attempts that left nothing behind, kept for the next ones. On ext4 removing a folder takes 70 µs and making
 * one 30 µs, ten of both for every job; a rename takes 10. In a sweep of short jobs that is most of what the agent does.
 */
export class SpareFolders {
  readonly #attempts: string;
  readonly #spares: string[] = [];
  #made = 0;

  /** `attempts`: the folder of all homes. */
  constructor(attempts: string) {
    this.#attempts = attempts;
  }

  /** Removes the spares of an earlier agent. */
  async clear(): Promise<void> {
    for (const name of await readdir(this.#attempts)) {
      if (name.startsWith(prefix)) await removeTree(join(this.#attempts, name));
    }
  }

  /** Makes a home, with all its folders, of a spare one. Answers false when there is none. */
  take(home: string): boolean {
    const spare = this.#spares.pop();
    if (spare === undefined) return false;
    renameSync(spare, home);
    return true;
  }

  /** Keeps a home whose job left nothing. Answers false, and has changed nothing, when there is something to remove. */
  give(home: string): boolean {
    if (this.#spares.length >= sparesMax || !this.#isUntouched(home)) return false;
    for (const entry of readdirSync(home, { withFileTypes: true })) {
      if (entry.isFile()) unlinkSync(join(home, entry.name));
    }
    const spare = join(this.#attempts, `${prefix}${this.#made++}`);
    renameSync(home, spare);
    this.#spares.push(spare);
    return true;
  }

  /** Folders as they were made: real ones, empty, of the mode that new ones have. */
  #isUntouched(home: string): boolean {
    const { mode, uid } = lstatSync(this.#attempts);
    // The mode comes first: a job may have forbidden us to list its home, or filled it.
    const own = lstatSync(home, { throwIfNoEntry: false });
    if (own?.mode !== mode || own.size > listedMaxBytes) return false;
    const entries = readdirSync(home, { withFileTypes: true });
    const folders = entries.filter((entry) => !entry.isFile() || !fileNames.includes(entry.name));
    if (folders.length !== folderNames.length) return false;
    return [home, ...folderNames.map((name) => join(home, name))].every((folder) => {
      const facts = lstatSync(folder, { throwIfNoEntry: false });
      if (facts === undefined || facts.mode !== mode || facts.uid !== uid || facts.size > listedMaxBytes) return false;
      return folder === home || readdirSync(folder).length === 0;
    });
  }
}
