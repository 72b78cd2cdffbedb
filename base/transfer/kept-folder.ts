import { closeSync, constants, openSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { descriptors, hasDescriptors, openKeptFolder } from './open-kept.ts';

/** Entries that are read from a folder at a time. */
const readAtOnce = 1_024;
const asFolder = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const slash = Buffer.from('/');

/**
 * A folder of a job, held open: whatever takes its place or the place of a folder above it meanwhile, what is reached
 * through `at` is in this one. Where the kernel does not show descriptors (on a Mac) paths must do.
 */
export class KeptFolder {
  readonly fd: number;
  /** What stands for the folder in paths. */
  readonly #place: Buffer;

  /**
   * `path` has no link on the way; a descriptor is taken over. Throws the system's error (`ENOTDIR` for a link), or `Fault`
   * "swapped".
   */
  constructor(path: string, fd = openKeptFolder(path)) {
    this.fd = fd;
    this.#place = Buffer.from(hasDescriptors() ? `${descriptors}/${fd}` : path);
  }

  /** A folder in it. Throws the system's error; `ENOTDIR` also for a link. */
  enter(name: Buffer): KeptFolder {
    const path = this.at(name);
    return new KeptFolder(path.toString(), openSync(path, asFolder));
  }

  /** A path to something in it. Names are bytes: the kernel takes any. */
  at(name: Buffer | string): Buffer {
    return Buffer.concat([this.#place, slash, typeof name === 'string' ? Buffer.from(name) : name]);
  }

  /** What is in it, up to `max` entries; whether they are folders, as the listing says. */
  async list(max: number): Promise<readonly ListedEntry[]> {
    const entries: ListedEntry[] = [];
    if (max <= 0) return entries;
    // Each byte of a name becomes one character, whatever it is.
    const folder = await opendir(this.#place.toString(), { encoding: 'latin1', bufferSize: readAtOnce });
    for await (const entry of folder) {
      entries.push({ name: Buffer.from(entry.name, 'latin1'), isFolder: entry.isDirectory() });
      if (entries.length >= max) break; // which closes the listing
    }
    return entries;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** One entry of a folder. */
export interface ListedEntry {
  readonly name: Buffer;
  readonly isFolder: boolean;
}

/** A name as text; nothing when it is no UTF-8. */
export function textOf(name: Buffer): string | undefined {
  const text = name.toString();
  return text.includes('\uFFFD') && !Buffer.from(text).equals(name) ? undefined : text;
}
