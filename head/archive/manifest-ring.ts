import { isSystemError, RefusedError } from '../../base/errors.ts';
import { chunksOf } from '../../base/transfer/chunk.ts';
import { type ManifestEntry, readKeptManifest } from '../../base/transfer/manifest.ts';

type FileEntry = Extract<ManifestEntry, { kind: 'file' }>;

/**
 * A manifest that is read in a ring: each search goes on where the last one ended, and ends when all is found or it has
 * come round. Agents list files in about the order in which a folder is walked, so that walking all of it reads the
 * manifest once or twice, and nothing of it is held; in any other order it takes longer and finds the same.
 */
export class ManifestRing {
  readonly #path: string;
  #entries: AsyncGenerator<ManifestEntry> | undefined;
  /** Entries read since its beginning. */
  #at = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** The files of these paths, as far as it lists them. None where there is no manifest, or something else of that name. */
  async find(wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, FileEntry>> {
    const found = new Map<string, FileEntry>();
    const start = this.#at;
    let isRound = false;
    while (found.size < wanted.size && !(isRound && this.#at >= start)) {
      const entry = await this.#next();
      if (entry === undefined) {
        if (isRound) break;
        isRound = true;
      } else if (entry.kind === 'file' && wanted.has(entry.path)) found.set(entry.path, entry);
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#entries?.return(undefined);
  }

  /** The next entry; nothing at the end, after which it begins again. */
  async #next(): Promise<ManifestEntry | undefined> {
    this.#entries ??= readKeptManifest(bytesOf(this.#path));
    try {
      const { done, value } = await this.#entries.next();
      if (!done) {
        this.#at += 1;
        return value;
      }
    } catch (error) {
      // A folder that labrun did not write has no manifest, or something else of that name.
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR') && !(error instanceof RefusedError)) throw error;
    }
    this.#entries = undefined;
    this.#at = 0;
    return undefined;
  }
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of chunksOf(path, 0)) yield data;
}
