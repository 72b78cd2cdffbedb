import { type FileHandle, open } from 'node:fs/promises';
import { chunkBytes } from '../channel/limits.ts';
import { type ContentHash, type RunningHash, startHash } from './hash.ts';
import { type KeptFile, openKept } from './open-kept.ts';

/** Bytes of a file and where they stand in it. */
export interface Chunk {
  readonly offset: number;
  readonly data: Buffer;
}

/**
 * A file's bytes from an offset, `chunkBytes` at a time; nothing more is held. `endOffset` bounds what is read of a
 * file that still grows. Throws the operating system's error.
 */
export async function* chunksOf(
  path: string,
  offset: number,
  endOffset = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<Chunk> {
  const file = await open(path, 'r');
  try {
    yield* chunksIn(file, offset, endOffset);
  } finally {
    await file.close();
  }
}

/** Like `chunksOf`, of a file that a job may have written. Throws also what `openKept` does. */
export async function* chunksOfKept(
  kept: KeptFile,
  offset: number,
  endOffset = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<Chunk> {
  const file = await openKept(kept);
  try {
    yield* chunksIn(file, offset, endOffset);
  } finally {
    await file.close();
  }
}

/** The hash of the first `sizeBytes` of a file that a job may have written. Rejects like `openKept`, or with the signal's reason. */
export async function hashKept(kept: KeptFile, sizeBytes: number, signal?: AbortSignal): Promise<ContentHash> {
  const hash = startHash();
  for await (const { data } of chunksOfKept(kept, 0, sizeBytes)) {
    signal?.throwIfAborted();
    hash.update(data);
  }
  return hash.digest();
}

/** Like `chunksOf`, of bytes at hand. */
export function* chunksOfBytes(bytes: Buffer, offset: number): Generator<Chunk> {
  for (let at = offset; at < bytes.length; at += chunkBytes)
    yield { offset: at, data: bytes.subarray(at, at + chunkBytes) };
}

/** Like `chunksOf`, of an open file. */
export async function* chunksIn(file: FileHandle, offset: number, endOffset: number): AsyncGenerator<Chunk> {
  for (let at = offset; at < endOffset; ) {
    // A buffer of its own for each chunk: the one before may still wait in a stream.
    const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, endOffset - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    yield { offset: at, data: buffer.subarray(0, bytesRead) };
    at += bytesRead;
  }
}

/** Feeds the first `endOffset` bytes of a file to a running hash, as a resumed transfer must. Answers how many there were. */
export async function hashBeginning(hash: RunningHash, path: string, endOffset: number): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunksOf(path, 0, endOffset)) {
    hash.update(chunk.data);
    bytes += chunk.data.length;
  }
  return bytes;
}
