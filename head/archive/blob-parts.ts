import { rmSync, statSync } from 'node:fs';
import { readdir, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import { BlobUpload } from './blob-upload.ts';
import { diskTrouble } from './durable.ts';
import type { InputUsage } from './input-usage.ts';

/** Uploads under way, each with a partial file that survives an interruption. */
export class BlobParts {
  readonly #folder: string;
  readonly #usage: InputUsage;
  readonly #clock: Clock;
  /** Partial files that somebody writes now, or is about to. */
  readonly #open = new Map<string, BlobUpload | undefined>();
  #spares = 0;

  constructor(folder: string, usage: InputUsage, clock: Clock) {
    this.#folder = folder;
    this.#usage = usage;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    await makeFolder(this.#folder);
    for (const { namespace, name, path } of await this.#list()) {
      // Nobody goes on with a second upload of the same content.
      if (name.includes('~')) await unlink(path);
      else this.#usage.set(namespace, name, sizeOf(path)?.bytes ?? 0);
    }
  }

  /** Begins or goes on with an upload. Throws `RefusedError` when the namespace has no room for it. */
  async open(namespace: string, hash: ContentHash, sizeBytes: number, offset: number): Promise<BlobUpload> {
    const own = this.#pathOf(namespace, hash);
    const abandoned = this.#open.get(own);
    if (offset > 0 && abandoned?.abandonedBytes === offset) await abandoned.close();
    const spare = this.#open.has(own);
    if (spare && offset > 0) {
      throw new RefusedError(refused('busy', `Cannot go on with "${hash}": it is being uploaded already; try again`));
    }
    // Two uploads of one content do not write into one file; the second to finish changes nothing.
    const part = spare ? `${own}~${++this.#spares}` : own;
    const item = basename(part);
    this.#usage.reserve(namespace, item, sizeBytes);
    this.#open.set(part, undefined);
    const release = (receivedBytes: number) => {
      this.#usage.set(namespace, item, receivedBytes);
      this.#open.delete(part);
    };
    try {
      await makeFolder(join(this.#folder, namespace));
      const upload = await BlobUpload.open({ part, hash, sizeBytes, offset, spare, release, clock: this.#clock });
      this.#open.set(part, upload);
      return upload;
    } catch (error) {
      release(sizeOf(part)?.bytes ?? 0);
      throw diskTrouble(error, `take "${hash}"`);
    }
  }

  /** Bytes of a content that an interrupted upload has left. */
  received(namespace: string, hash: ContentHash): number {
    const part = this.#pathOf(namespace, hash);
    return this.#open.has(part) ? (this.#open.get(part)?.abandonedBytes ?? 0) : (sizeOf(part)?.bytes ?? 0);
  }

  /** Drops what nobody has gone on with since this moment, in milliseconds since 1970. */
  async dropOlder(thanMs: number): Promise<void> {
    for (const { namespace, name, path } of await this.#list()) {
      const facts = sizeOf(path);
      // Without a wait between the look and the removal: an upload could go on with it just then.
      if (!facts || facts.changedAtMs >= thanMs || this.#open.has(path)) continue;
      rmSync(path, { force: true });
      this.#usage.set(namespace, name, 0);
    }
  }

  async #list(): Promise<readonly { namespace: string; name: string; path: string }[]> {
    const parts: { namespace: string; name: string; path: string }[] = [];
    for (const namespace of await readdir(this.#folder)) {
      for (const name of await readdir(join(this.#folder, namespace)))
        parts.push({ namespace, name, path: join(this.#folder, namespace, name) });
    }
    return parts;
  }

  #pathOf(namespace: string, hash: ContentHash): string {
    return join(this.#folder, namespace, `${hash.slice('blake3:'.length)}.part`);
  }
}

/** Size and time of a file; nothing when it has gone. */
function sizeOf(path: string): { bytes: number; changedAtMs: number } | undefined {
  try {
    const { size, mtimeMs } = statSync(path);
    return { bytes: size, changedAtMs: mtimeMs };
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
