import { Blake3Hasher } from '@napi-rs/blake-hash';
import { openNamed } from './open-kept.ts';

declare const brand: unique symbol;
/** `blake3:` and 64 hex digits: what names a content everywhere. */
export type ContentHash = string & { readonly [brand]: 'ContentHash' };

/** Reads a tagged hash, or nothing when the text is none. */
export function asContentHash(text: string): ContentHash | undefined {
  return /^blake3:[0-9a-f]{64}$/.test(text) ? (text as ContentHash) : undefined; // the form has just been checked
}

/** A hash that grows with what is fed to it. */
export interface RunningHash {
  update(data: Uint8Array): void;
  /** The hash of all that was fed so far. */
  digest(): ContentHash;
}

/** Starts a running hash. */
export function startHash(): RunningHash {
  const hasher = new Blake3Hasher();
  return {
    update: (data) =>
      void hasher.update(Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
    digest: () => `blake3:${hasher.digest('hex')}` as ContentHash, // the hasher gives 64 hex digits
  };
}

/** The hash of bytes at hand. */
export function hashBytes(data: Uint8Array | string): ContentHash {
  const hash = startHash();
  hash.update(typeof data === 'string' ? Buffer.from(data) : data);
  return hash.digest();
}

/** The hash of a file, read in chunks. Waits for nothing else in its place: rejects with the system's error or `Fault` "no-file". */
export async function hashFile(path: string): Promise<ContentHash> {
  const hash = startHash();
  const file = await openNamed(path);
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: 2 ** 20, autoClose: false })) hash.update(chunk);
    return hash.digest();
  } finally {
    await file.close();
  }
}
