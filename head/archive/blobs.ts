import { mkdir, readdir, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';
import { BlobUpload } from './blob-upload.ts';
import { diskTrouble, syncFolder } from './durable.ts';

/** How long content that no batch needs is kept after it was last asked for, in milliseconds. */
export const holdMs = 24 * 3_600_000;

/** What a namespace lacks, and how much of it is here already. */
export interface MissingBlob {
  readonly hash: ContentHash;
  readonly offset: number;
}

/**
 * Input files by their content, each kept once. Rights are per namespace: an empty file under `holds/<namespace>/` says
 * that the namespace has put this content, its time of change when it last asked for it.
 */
export class BlobStore {
  readonly #folder: string;
  readonly #clock: Clock;
  /** Uploads that are open now, by namespace and hash. */
  readonly #open = new Set<string>();
  #spares = 0;
  /** Asked for or put since the last round of collecting began. */
  #touched = new Set<ContentHash>();

  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  /** Makes the folders, and drops partial uploads that nobody has gone on with for a day. */
  async start(): Promise<void> {
    for (const name of ['content', 'parts', 'holds']) await mkdir(join(this.#folder, name), { recursive: true });
    const deadMs = this.#clock.nowMs() - holdMs;
    for (const namespace of await readdir(join(this.#folder, 'parts'))) {
      for (const name of await readdir(join(this.#folder, 'parts', namespace))) {
        const part = join(this.#folder, 'parts', namespace, name);
        if (name.includes('~') || (await stat(part)).mtimeMs < deadMs) await unlink(part);
      }
    }
  }

  /** Where this content is, or would be. */
  pathOf(hash: ContentHash): string {
    const hex = hash.slice('blake3:'.length);
    return join(this.#folder, 'content', hex.slice(0, 2), hex);
  }

  /** Which of these the namespace must put first. Renews the hold of the others. */
  async missing(namespace: string, hashes: readonly ContentHash[]): Promise<MissingBlob[]> {
    const missing: MissingBlob[] = [];
    for (const hash of hashes) {
      if (await this.renew(namespace, hash)) continue;
      missing.push({ hash, offset: await this.#received(namespace, hash) });
    }
    return missing;
  }

  /** Renews the namespace's hold; false when it never put this content, or it is no longer here. */
  async renew(namespace: string, hash: ContentHash): Promise<boolean> {
    const nowS = this.#clock.nowMs() / 1000;
    this.#touched.add(hash);
    try {
      await utimes(this.#holdOf(namespace, hash), nowS, nowS);
      await stat(this.pathOf(hash));
      return true;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return false;
      throw error;
    }
  }

  /** The content's size in bytes. Refused when the namespace never put it. */
  async sizeFor(namespace: string, hash: ContentHash): Promise<number> {
    try {
      await stat(this.#holdOf(namespace, hash));
      return (await stat(this.pathOf(hash))).size;
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
      throw new RefusedError(
        refused('not-found', `Cannot read "${hash}": the namespace "${namespace}" has not put it; submit it again`),
      );
    }
  }

  /** Begins or goes on with an upload. Give it back with `close`, whatever happens. */
  async upload(namespace: string, hash: ContentHash, sizeBytes: number, offset: number): Promise<BlobUpload> {
    const key = `${namespace}/${hash}`;
    const taken = this.#open.has(key);
    if (taken && offset > 0) {
      throw new RefusedError(refused('busy', `Cannot go on with "${hash}": it is being uploaded already; try again`));
    }
    // Two uploads of one content do not write into one file; the second to finish changes nothing.
    const part = taken ? `${this.#partOf(namespace, hash)}~${++this.#spares}` : this.#partOf(namespace, hash);
    if (!taken) this.#open.add(key);
    const release = () => {
      if (!taken) this.#open.delete(key);
    };
    try {
      await mkdir(join(this.#folder, 'parts', namespace), { recursive: true });
      return await BlobUpload.open({ part, hash, sizeBytes, offset, release });
    } catch (error) {
      release();
      throw diskTrouble(error, `take "${hash}"`);
    }
  }

  /** Keeps a finished upload: it is on disk, verified, and the namespace's, when this resolves. */
  async keep(namespace: string, upload: BlobUpload): Promise<void> {
    try {
      await upload.finish();
      const path = this.pathOf(upload.hash);
      const folder = dirname(path);
      // The hold comes first: content that nobody holds may be collected at any moment.
      this.#touched.add(upload.hash);
      await mkdir(join(this.#folder, 'holds', namespace), { recursive: true });
      await writeFile(this.#holdOf(namespace, upload.hash), '');
      await mkdir(folder, { recursive: true });
      await rename(upload.part, path);
      await syncFolder(folder);
    } catch (error) {
      throw diskTrouble(error, `keep "${upload.hash}"`);
    }
  }

  /** Every hold: whose, of what, and when it was last renewed, in milliseconds. */
  async *holds(): AsyncGenerator<{ namespace: string; hash: ContentHash; renewedAtMs: number }> {
    for (const namespace of await readdir(join(this.#folder, 'holds'))) {
      for (const hex of await readdir(join(this.#folder, 'holds', namespace))) {
        const hash = asContentHash(`blake3:${hex}`);
        if (!hash) continue;
        const { mtimeMs } = await stat(this.#holdOf(namespace, hash));
        yield { namespace, hash, renewedAtMs: mtimeMs };
      }
    }
  }

  /** Every content that is here. */
  async *contents(): AsyncGenerator<ContentHash> {
    for (const shelf of await readdir(join(this.#folder, 'content'))) {
      for (const hex of await readdir(join(this.#folder, 'content', shelf))) {
        const hash = asContentHash(`blake3:${hex}`);
        if (hash) yield hash;
      }
    }
  }

  async dropHold(namespace: string, hash: ContentHash): Promise<void> {
    await rm(this.#holdOf(namespace, hash), { force: true });
  }

  /** A round of collecting begins: what is asked for from now on is not dropped in it. */
  beginRound(): void {
    this.#touched = new Set();
  }

  async dropContent(hash: ContentHash): Promise<void> {
    if (!this.#touched.has(hash)) await rm(this.pathOf(hash), { force: true });
  }

  async #received(namespace: string, hash: ContentHash): Promise<number> {
    if (this.#open.has(`${namespace}/${hash}`)) return 0;
    try {
      return (await stat(this.#partOf(namespace, hash))).size;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return 0;
      throw error;
    }
  }

  #partOf(namespace: string, hash: ContentHash): string {
    return join(this.#folder, 'parts', namespace, `${hash.slice('blake3:'.length)}.part`);
  }

  #holdOf(namespace: string, hash: ContentHash): string {
    return join(this.#folder, 'holds', namespace, hash.slice('blake3:'.length));
  }
}
