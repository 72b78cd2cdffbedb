import type { FileHandle } from 'node:fs/promises';
import { call } from '../base/channel/client.ts';
import { chunkBytes } from '../base/channel/limits.ts';
import { errorFromStatus } from '../base/channel/refusals.ts';
import { writeTo } from '../base/channel/streams.ts';
import { delay, systemClock } from '../base/clock.ts';
import { messageOf, RefusedError, refused } from '../base/errors.ts';
import { asContentHash, type ContentHash } from '../base/transfer/hash.ts';
import { openNamed } from '../base/transfer/open-kept.ts';
import type { PutBlobChunk } from '../proto/gen/labrun/v1/blobs.ts';
import type { Head } from './connect.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import type { Progress } from './progress.ts';

/** A content to upload: bytes at hand, or a file as it looked when it was hashed. */
export type Content = { readonly kind: 'bytes'; readonly data: Uint8Array } | FileContent;

interface FileContent {
  readonly kind: 'file';
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** What of the head an upload speaks to. */
export type BlobStore = Pick<Head, 'blobs' | 'metadata'>;

/** Hashes asked about in one call. */
const askMax = 5_000;
/** How often in a row a broken connection is taken up again in vain, and the pause before, in milliseconds. */
const triesMax = 8;
const pauseMs = 1_000;

/**
 * Uploads what the head lacks, several contents in one stream, and goes on where it was after a cut. Throws
 * `RefusedError` when a file is no longer what was hashed; nothing is submitted then.
 */
export async function upload(
  head: BlobStore,
  namespace: string,
  contents: ReadonlyMap<ContentHash, Content>,
  progress: Progress,
): Promise<{ sentBytes: number; sentFiles: number }> {
  let asked: { sentBytes: number; sentFiles: number } | undefined;
  let leftBytes = Number.POSITIVE_INFINITY;
  for (let tries = 0; ; tries++) {
    try {
      const missing = await findMissing(head, namespace, [...contents.keys()]);
      const left = [...missing].reduce((sum, [hash, offset]) => sum + sizeOf(contents.get(hash)) - offset, 0);
      asked ??= { sentBytes: left, sentFiles: missing.size };
      if (missing.size === 0) return asked;
      // A line that breaks again and again still brings it across, as long as something comes through in between.
      if (left < leftBytes) tries = 0;
      leftBytes = left;
      await put(head, namespace, contents, missing, progress);
    } catch (error) {
      // A head that has never answered is not waited for.
      if (exitCodeOf(error) !== exitCodes.unreachable || tries >= triesMax || !asked) throw error;
      await delay(systemClock, pauseMs * (tries + 1));
    }
    if (tries > triesMax)
      throw new RefusedError(refused('busy', 'Cannot upload: the head keeps missing what was sent; try again'));
  }
}

/** What the head lacks, and how much of each it has. */
async function findMissing(
  head: BlobStore,
  namespace: string,
  hashes: readonly ContentHash[],
): Promise<Map<ContentHash, number>> {
  const known = new Set(hashes);
  const missing = new Map<ContentHash, number>();
  for (let at = 0; at < hashes.length; at += askMax) {
    const request = { namespace, hashes: hashes.slice(at, at + askMax) };
    const response = await call(head.blobs, head.blobs.missing, request, { metadata: head.metadata });
    for (const { hash, offset } of response.missing) {
      const asked = asContentHash(hash);
      if (asked && known.has(asked)) missing.set(asked, Number(offset));
    }
  }
  return missing;
}

async function put(
  head: BlobStore,
  namespace: string,
  contents: ReadonlyMap<ContentHash, Content>,
  missing: ReadonlyMap<ContentHash, number>,
  progress: Progress,
): Promise<void> {
  const total = [...missing].reduce((sum, [hash, offset]) => sum + sizeOf(contents.get(hash)) - offset, 0);
  let sent = 0;
  let failed: unknown;
  let finish: (() => void) | undefined;
  const answered = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const stream = head.blobs.put(head.metadata, (error) => {
    if (error) failed = errorFromStatus(error);
    finish?.();
  });
  try {
    for (const [hash, offset] of missing) {
      const content = contents.get(hash);
      if (!content) continue;
      for await (const chunk of chunksOf(namespace, hash, content, offset)) {
        if (failed) throw failed;
        const full = writeTo<PutBlobChunk>(stream, chunk);
        if (full !== undefined) await Promise.race([full, answered]);
        sent += chunk.data.length;
        progress.update(sent, total);
      }
    }
    stream.end();
  } catch (error) {
    stream.cancel();
    await answered;
    // The head's own word says more than the stream that it closed.
    throw error instanceof RefusedError ? error : (failed ?? error);
  }
  await answered;
  if (failed) throw failed;
}

async function* chunksOf(
  namespace: string,
  hash: string,
  content: Content,
  offset: number,
): AsyncGenerator<PutBlobChunk> {
  const size = BigInt(sizeOf(content));
  const chunk = (at: number, data: Uint8Array): PutBlobChunk => ({
    namespace,
    hash,
    size,
    offset: BigInt(at),
    data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  });
  if (content.kind === 'bytes') {
    let at = offset;
    do {
      yield chunk(at, content.data.subarray(at, at + chunkBytes));
      at += chunkBytes;
    } while (at < content.data.length);
    return;
  }
  const file = await openAgain(content);
  try {
    await checkUnchanged(file, content);
    let at = offset;
    do {
      const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, content.sizeBytes - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      yield chunk(at, buffer.subarray(0, bytesRead));
      if (bytesRead === 0) break;
      at += bytesRead;
    } while (at < content.sizeBytes);
    await checkUnchanged(file, content);
  } finally {
    await file.close();
  }
}

/** Whatever has taken the file's place since it was hashed, nothing waits for it. */
async function openAgain({ path }: FileContent): Promise<FileHandle> {
  try {
    return await openNamed(path);
  } catch (error) {
    throw new RefusedError(
      refused('invalid', `Cannot upload "${path}": ${messageOf(error)}; submit again when it is there as it was`),
    );
  }
}

async function checkUnchanged(file: FileHandle, content: FileContent): Promise<void> {
  const now = await file.stat({ bigint: true });
  // To the microsecond, as it was noted when it was hashed: a float of nanoseconds would differ from itself.
  const mtimeMs = Number(now.mtimeNs / 1_000n) / 1_000;
  if (Number(now.size) === content.sizeBytes && mtimeMs === content.mtimeMs) return;
  throw new RefusedError(
    refused(
      'invalid',
      `Cannot upload "${content.path}": it has changed since it was read; submit again when it is finished`,
    ),
  );
}

function sizeOf(content: Content | undefined): number {
  if (!content) return 0;
  return content.kind === 'bytes' ? content.data.length : content.sizeBytes;
}
