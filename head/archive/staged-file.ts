import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { assert } from '../../base/assert.ts';
import { isSystemError } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { hashBeginning } from '../../base/transfer/chunk.ts';
import { type ContentHash, hashBytes, hashFile, type RunningHash, startHash } from '../../base/transfer/hash.ts';
import type { StageFiles } from './stage-writer.ts';

/** One piece of a file, as it came in. */
export interface Piece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly truncate: boolean;
  /** The file is complete, and this is its hash. */
  readonly finalHash: ContentHash | undefined;
}

/** Files up to this size are written in the worker, in bytes; what is longer costs more to hand over than to write. */
const handOverMaxBytes = 64 * 2 ** 10;

/** How far a file is, after a piece. */
export interface Taken {
  readonly offset: number;
  readonly verified: boolean;
}

/**
 * A file in staging. Pieces come one after the other; its handle is open only between the first piece and the last of a
 * long file. After a restart it goes on from what the disk holds.
 */
export class StagedFile {
  readonly path: string;
  readonly #files: Pick<StageFiles, 'write'> | undefined;
  #sizeBytes: number;
  #verified: ContentHash | undefined;
  #running: RunningHash | undefined;
  #handle: FileHandle | undefined;

  /** `sizeBytes`: what the disk holds already. `files`: who writes it when it comes as a whole and is small. */
  constructor(path: string, sizeBytes: number, files?: Pick<StageFiles, 'write'>) {
    this.path = path;
    this.#files = files;
    this.#sizeBytes = sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The hash of the complete file; nothing while more may come. */
  get verified(): ContentHash | undefined {
    return this.#verified;
  }

  /** Whether a handle is open. */
  get isOpen(): boolean {
    return this.#handle !== undefined;
  }

  /** Takes a piece if it fits on what is here. Throws the operating system's errors. */
  async take(piece: Piece): Promise<Taken> {
    const { offset, data, finalHash } = piece;
    const fresh = piece.truncate && offset === 0;
    if (fresh && finalHash && !this.#handle) return await this.#takeWhole(data, finalHash);
    if (fresh) await this.#restart(0);
    if (offset > this.#sizeBytes) return { offset: this.#sizeBytes, verified: false };
    if (offset < this.#sizeBytes) await this.#restart(offset);
    if (data.length > 0) await this.#append(data);
    if (!finalHash) return { offset: this.#sizeBytes, verified: false };
    const { running } = await this.#ready();
    const right = running.digest() === finalHash;
    await this.close();
    if (!right) await this.#restart(0);
    else this.#verified = finalHash;
    return { offset: this.#sizeBytes, verified: right };
  }

  /** The hash of what is here now, read from the disk unless it was verified. */
  async currentHash(): Promise<ContentHash> {
    await this.close();
    return this.#verified ?? (await hashFile(this.path));
  }

  /** Closes the handle; a later piece opens it again. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    this.#running = undefined;
    await handle?.close();
  }

  /** A file in one piece. */
  async #takeWhole(data: Uint8Array, finalHash: ContentHash): Promise<Taken> {
    this.#verified = undefined;
    this.#sizeBytes = 0;
    if (hashBytes(data) !== finalHash) return { offset: 0, verified: false };
    if (this.#files && data.length <= handOverMaxBytes) await this.#files.write(this.path, data);
    else await writeWhole(this.path, data);
    this.#sizeBytes = data.length;
    this.#verified = finalHash;
    return { offset: this.#sizeBytes, verified: true };
  }

  /** Drops what follows `offset`. */
  async #restart(offset: number): Promise<void> {
    await this.close();
    const file = await openMaking(this.path, this.#sizeBytes === 0 ? 'w' : 'r+');
    try {
      await file.truncate(offset);
    } finally {
      await file.close();
    }
    this.#verified = undefined;
    this.#sizeBytes = offset;
  }

  async #append(data: Uint8Array): Promise<void> {
    const { handle, running } = await this.#ready();
    this.#verified = undefined;
    await writeAll(handle, data, this.#sizeBytes);
    running.update(data);
    this.#sizeBytes += data.length;
  }

  /** Opens the file and hashes what it holds, unless that is done. */
  async #ready(): Promise<{ handle: FileHandle; running: RunningHash }> {
    if (this.#handle && this.#running) return { handle: this.#handle, running: this.#running };
    const handle = await openMaking(this.path, this.#sizeBytes === 0 ? 'w' : 'r+');
    const running = startHash();
    this.#handle = handle;
    // A piece that a full disk took in part has left more than counts.
    await handle.truncate(this.#sizeBytes);
    const bytes = await hashBeginning(running, this.path, this.#sizeBytes);
    assert(bytes === this.#sizeBytes, 'nobody else writes in staging');
    this.#running = running;
    return { handle, running };
  }
}

async function writeWhole(path: string, data: Uint8Array): Promise<void> {
  const file = await openMaking(path, 'w');
  try {
    await writeAll(file, data, 0);
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, data: Uint8Array, position: number): Promise<void> {
  for (let from = 0; from < data.length; ) {
    const { bytesWritten } = await file.write(data, from, data.length - from, position + from);
    from += bytesWritten;
  }
}

/** Opens a file, and makes its folders when they are not there. */
async function openMaking(path: string, flags: string): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT') || flags !== 'w') throw error;
    await makeFolder(dirname(path));
    return await open(path, flags, 0o600);
  }
}
