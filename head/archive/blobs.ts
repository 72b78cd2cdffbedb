import { rmSync } from 'node:fs';
import { chmod, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { asContentHash, type ContentHash, hashFile } from '../../base/transfer/hash.ts';
import { BlobParts } from './blob-parts.ts';
import type { BlobUpload } from './blob-upload.ts';
import { diskTrouble, syncFolder } from './durable.ts';
import type { InputUsage } from './input-usage.ts';

/** How long content that no batch needs is kept after it was last asked for, in milliseconds. */
export const holdMs = 24 * 3_600_000;

/** Where a content is in the folder of the blobs. */
export function contentPath(folder: string, hash: ContentHash): string {
  const hex = hash.slice('blake3:'.length);
  return join(folder, 'content', hex.slice(0, 2), hex);
}

/** Where it says that a namespace has put a content. */
export function holdPath(folder: string, namespace: string, hash: ContentHash): string {
  return join(folder, 'holds', namespace, hash.slice('blake3:'.length));
}

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
  readonly #usage: InputUsage;
  readonly #parts: BlobParts;
  /** Asked for or put since the last round of collecting began. */
  #touched = new Set<ContentHash>();

  constructor(folder: string, clock: Clock, usage: InputUsage) {
    this.#folder = folder;
    this.#clock = clock;
    this.#usage = usage;
    this.#parts = new BlobParts(join(folder, 'parts'), usage, clock);
  }

  /** Makes the folders, and counts what is there for namespaces that have a quota. */
  async start(): Promise<void> {
    for (const name of ['content', 'holds']) await makeFolder(join(this.#folder, name));
    await this.#parts.start();
    for (const namespace of await readdir(join(this.#folder, 'holds')))
      if (this.#usage.counts(namespace)) await this.#countHeld(namespace);
    await this.dropDeadParts();
  }

  /** Drops partial uploads that nobody has gone on with for a day. */
  async dropDeadParts(): Promise<void> {
    await this.#parts.dropOlder(this.#clock.nowMs() - holdMs);
  }

  /** Where this content is, or would be. */
  pathOf(hash: ContentHash): string {
    return contentPath(this.#folder, hash);
  }

  /** Where content is kept that turned out not to be what its name says. */
  damagedPath(hash: ContentHash): string {
    return join(this.#folder, 'damaged', hash.slice('blake3:'.length));
  }

  /** Moves content aside that is not what its name says, so that it can be put again; false when it is right. Rejects with the system's error. */
  async setAside(hash: ContentHash): Promise<boolean> {
    if ((await hashFile(this.pathOf(hash))) === hash) return false;
    await makeFolder(dirname(this.damagedPath(hash)));
    await rename(this.pathOf(hash), this.damagedPath(hash));
    return true;
  }

  /** Which of these the namespace must put first. Renews the hold of the others. */
  async missing(namespace: string, hashes: readonly ContentHash[]): Promise<MissingBlob[]> {
    const missing: MissingBlob[] = [];
    for (const hash of hashes) {
      if (await this.renew(namespace, hash)) continue;
      missing.push({ hash, offset: this.#parts.received(namespace, hash) });
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

  /** The content's size in bytes, for who may read it whoever has put it. Refused when it is gone. */
  async sizeOf(hash: ContentHash): Promise<number> {
    try {
      return (await stat(this.pathOf(hash))).size;
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
      throw new RefusedError(refused('not-found', `Cannot read "${hash}": it is gone from the head's disk`));
    }
  }

  /** Begins or goes on with an upload. Give it back with `close`, whatever happens. */
  upload(namespace: string, hash: ContentHash, sizeBytes: number, offset: number): Promise<BlobUpload> {
    return this.#parts.open(namespace, hash, sizeBytes, offset);
  }

  /** Keeps a finished upload: it is on disk, verified, and the namespace's, when this resolves. */
  async keep(namespace: string, upload: BlobUpload): Promise<void> {
    try {
      await upload.finish();
      const path = this.pathOf(upload.hash);
      const folder = dirname(path);
      // The hold comes first: content that nobody holds may be collected at any moment.
      this.#touched.add(upload.hash);
      await makeFolder(join(this.#folder, 'holds', namespace));
      await writeFile(this.#holdOf(namespace, upload.hash), '');
      await makeFolder(folder);
      // Again: a round may have begun since, and it has looked at the holds before this one was there.
      this.#touched.add(upload.hash);
      await rename(upload.part, path);
      // Only now: what an upload that was interrupted has left must be open to the next one.
      await chmod(path, 0o444);
      await syncFolder(folder);
      upload.letGo('moved');
      this.#usage.set(namespace, upload.hash, upload.sizeBytes);
    } catch (error) {
      upload.letGo('left');
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

  /** Drops a hold that has run out, unless it has been renewed in this round. */
  dropHold(namespace: string, hash: ContentHash): void {
    if (this.#touched.has(hash)) return;
    // Without a wait between the look and the removal: whoever renews it just then has been told that the content is here.
    rmSync(this.#holdOf(namespace, hash), { force: true });
    this.#usage.set(namespace, hash, 0);
  }

  /** A round of collecting begins: what is asked for from now on is not dropped in it. */
  beginRound(): void {
    this.#touched = new Set();
  }

  async dropContent(hash: ContentHash): Promise<void> {
    if (!this.#touched.has(hash)) await rm(this.pathOf(hash), { force: true });
  }

  async #countHeld(namespace: string): Promise<void> {
    for (const hex of await readdir(join(this.#folder, 'holds', namespace))) {
      const hash = asContentHash(`blake3:${hex}`);
      if (hash) this.#usage.set(namespace, hash, await this.#sizeHeld(hash));
    }
  }

  /** Content that was collected while a hold was still there takes no room. */
  async #sizeHeld(hash: ContentHash): Promise<number> {
    try {
      return (await stat(this.pathOf(hash))).size;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return 0;
      throw error;
    }
  }

  #holdOf(namespace: string, hash: ContentHash): string {
    return holdPath(this.#folder, namespace, hash);
  }
}
