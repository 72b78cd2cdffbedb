import { chmod, type FileHandle, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { hashBeginning } from '../../base/transfer/chunk.ts';
import { type ContentHash, startHash } from '../../base/transfer/hash.ts';
import { keepTrying } from './backoff.ts';
import type { BulkLink } from './bulk-link.ts';

/** What fetching needs. */
export interface FetchPorts {
  readonly link: Pick<BulkLink, 'blob'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** Content to bring here. */
export interface BlobToFetch {
  readonly namespace: string;
  readonly hash: ContentHash;
  /** Its final place; `<target>.part` while it arrives. */
  readonly target: string;
}

/** Room on the disk that is left to everyone else, in bytes. */
const spareBytes = 64 * 2 ** 20;
/** How often the head may send other content than asked for. */
const triesMax = 3;

/**
 * Fetches, verifies and syncs one content; goes on where an earlier try stopped. Resolves with its size. Tries for ever
 * while the head is away; rejects with `Fault` "disk-full", the head's refusal, or the signal's reason.
 */
export async function fetchBlob(ports: FetchPorts, blob: BlobToFetch, signal: AbortSignal): Promise<number> {
  const part = `${blob.target}.part`;
  for (let tries = 1; ; tries++) {
    const { bytes, hash } = await receive(ports, blob, part, signal);
    if (hash === blob.hash) {
      await chmod(part, 0o444);
      await rename(part, blob.target);
      return bytes;
    }
    await rm(part, { force: true });
    if (tries >= triesMax) {
      throw new Fault('damaged', `Cannot fetch ${blob.hash}: the head sent other content ${triesMax} times`);
    }
  }
}

async function receive(ports: FetchPorts, blob: BlobToFetch, part: string, signal: AbortSignal) {
  return keepTrying(ports, signal, async () => {
    const hash = startHash();
    let bytes = await beginning(part, (from) => hashBeginning(hash, part, from));
    const file = await open(part, 'a', 0o600);
    try {
      for await (const data of ports.link.blob(blob.namespace, blob.hash, bytes, signal)) {
        await checkRoom(part, data.length);
        await file.appendFile(data);
        hash.update(data);
        bytes += data.length;
      }
      await file.datasync();
    } catch (error) {
      throw isSystemError(error, 'ENOSPC', 'EDQUOT') ? await full(blob, file, part) : error;
    } finally {
      await file.close();
    }
    return { bytes, hash: hash.digest() };
  });
}

async function beginning(part: string, take: (bytes: number) => Promise<number>): Promise<number> {
  try {
    return await take((await stat(part)).size);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 0;
    throw error;
  }
}

async function checkRoom(part: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(part));
  if (bavail * bsize < bytes + spareBytes) {
    throw Object.assign(new Error('no space left beside the reserve'), { code: 'ENOSPC' });
  }
}

/** What has arrived is given back at once: a full disk hurts everyone on the machine. */
async function full(blob: BlobToFetch, file: FileHandle, part: string): Promise<Fault> {
  await file.truncate(0);
  await rm(part, { force: true });
  return new Fault('disk-full', `Cannot fetch ${blob.hash}: the disk of the agent's data directory is full`);
}
