import { readFile } from 'node:fs/promises';
import { isSystemError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { type ContentHash, hashBytes } from '../base/transfer/hash.ts';
import { placeOf } from './archive/batch-folder.ts';
import type { BlobStore } from './archive/blobs.ts';
import { writeDurably } from './archive/durable.ts';
import type { ArchiveLayout } from './archive/layout.ts';
import type { HeadEngine } from './ports.ts';

/** What finding a lost spec again needs. */
export interface RecoverPorts {
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly layout: ArchiveLayout;
  readonly blobs: Pick<BlobStore, 'pathOf'>;
  readonly log: Log;
}

/**
 * The bytes of a spec whose blob is gone, from the `batch.json` of a batch that has it, if they are what its hash says; the
 * blob is there again after it. Without its spec no result of a batch can be named, and those of all others wait behind it.
 */
export async function recoverSpec(ports: RecoverPorts, hash: ContentHash): Promise<Buffer | undefined> {
  const batches = await ports.engine.query((state) =>
    [...state.batches.values()]
      .filter(({ parts }) => parts.some(({ specHash }) => specHash === hash))
      .map(({ id, namespace, name }) => ({ batchId: id, namespace, name })),
  );
  for (const batch of batches) {
    const path = ports.layout.batchOwn(await placeOf(ports.layout, batch), 'batch.json');
    const bytes = await specIn(path, hash);
    if (bytes === undefined) continue;
    await writeDurably(ports.blobs.pathOf(hash), bytes);
    ports.log.warn({ spec: hash, from: path }, 'the spec of a batch was gone, and is back from its batch.json');
    return bytes;
  }
  return undefined;
}

async function specIn(path: string, hash: ContentHash): Promise<Buffer | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    // Gone as well, or damaged: the caller says that the spec is lost.
    if (isSystemError(error, 'ENOENT', 'ENOTDIR') || error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { parts }: { readonly parts?: unknown } = { ...Object(value) };
  for (const part of Array.isArray(parts) ? parts : []) {
    // A spec was written by JSON.stringify, which makes the same of it again.
    const bytes = Buffer.from(JSON.stringify(Object(part).resolved ?? null));
    if (hashBytes(bytes) === hash) return bytes;
  }
  return undefined;
}
