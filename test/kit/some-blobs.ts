import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashBytes } from '../../base/transfer/hash.ts';
import type { SourceEntry } from '../../config/spec.ts';
import type { BlobCache } from '../../node-agent/ports.ts';

/** A blob cache that holds what a test puts into it. */
export interface SomeBlobs extends BlobCache {
  /** Puts a file's content and gives the entry of `sources` that names it. */
  file(content: string | Uint8Array, path?: string, mode?: number): SourceEntry;
}

/** Contents below `root`, read-only like those of the real cache. */
export function someBlobs(root: string): SomeBlobs {
  const folder = join(root, 'blobs');
  mkdirSync(folder, { recursive: true });
  return {
    file(content, path = '', mode = 0o644) {
      const hash = hashBytes(content);
      writeFileSync(join(folder, hash), content, { mode: 0o444 });
      return { kind: 'file', path, hash, sizeBytes: Buffer.byteLength(content), mode };
    },
    obtain: async (_namespace, hash) => join(folder, hash),
    release: () => {},
    shed: () => {},
  };
}
