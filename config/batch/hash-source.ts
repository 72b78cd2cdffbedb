import type { FileHandle } from 'node:fs/promises';
import { isSystemError, messageOf } from '../../base/errors.ts';
import { type ContentHash, startHash } from '../../base/transfer/hash.ts';
import { openNamed } from '../../base/transfer/open-kept.ts';
import { SourceError } from './scan-source.ts';

/** A file's content as it was at one moment. */
export interface HashedFile {
  readonly path: string;
  readonly hash: ContentHash;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Bytes that are read at a time. */
const readBytes = 2 ** 20;

/**
 * Hashes a file. One that changes while it is read is an error: its hash would name a content that never was; so is
 * what has taken the file's place since it was looked at, a FIFO for instance. Rejects with `SourceError`, or with the
 * signal's reason.
 */
export async function hashSource(
  path: string,
  shown: string,
  onRead: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<HashedFile> {
  let file: FileHandle | undefined;
  try {
    file = await openNamed(path);
    const before = await file.stat({ bigint: true });
    const buffer = Buffer.allocUnsafe(Math.min(readBytes, Math.max(1, Number(before.size)) + 1));
    const hash = startHash();
    let sizeBytes = 0;
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      sizeBytes += bytesRead;
      onRead(bytesRead);
      if (BigInt(sizeBytes) > before.size) break; // somebody appends, perhaps without end
    }
    const after = await file.stat({ bigint: true });
    if (before.mtimeNs !== after.mtimeNs || before.size !== after.size || BigInt(sizeBytes) !== after.size) {
      throw new SourceError(`"${shown}" changed while it was read; submit again when nothing writes to it`);
    }
    return { path, hash: hash.digest(), sizeBytes, mtimeMs: Number(after.mtimeNs / 1_000n) / 1_000 };
  } catch (error) {
    if (error instanceof SourceError || signal?.aborted) throw error;
    if (isSystemError(error, 'EACCES', 'EPERM')) throw new SourceError(`"${shown}" may not be read`);
    throw new SourceError(`"${shown}" cannot be read: ${messageOf(error)}`);
  } finally {
    await file?.close();
  }
}
