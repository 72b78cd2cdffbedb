import { renameSync } from 'node:fs';
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { ContentHash } from '../../base/transfer/hash.ts';
import type { BlobCache } from '../ports.ts';
import { type FetchPorts, fetchBlob } from './fetch-blob.ts';

/** What the cache needs. */
export interface BlobCachePorts extends FetchPorts {
  /** Its own folder: content under its hash's hex digits, `.part` while it arrives. */
  readonly folder: string;
  readonly quotaBytes: number;
  readonly log: Log;
}

interface Blob {
  readonly sizeBytes: number;
  readonly holders: Set<string>;
}

interface Fetch {
  readonly done: Promise<void>;
  readonly stop: AbortController;
  waiters: number;
}

/** Reads what earlier agents left in the folder, least recently used first. */
export async function openBlobCache(ports: BlobCachePorts): Promise<BlobCache> {
  const found = [];
  for (const name of await readdir(ports.folder)) {
    if (name.endsWith('.gone')) await rm(join(ports.folder, name), { force: true });
    if (!/^[0-9a-f]{64}$/.test(name)) continue;
    const { size, mtimeMs } = await stat(join(ports.folder, name));
    found.push({ name, size, mtimeMs });
  }
  found.sort((a, b) => a.mtimeMs - b.mtimeMs);
  return new DiskBlobCache(
    ports,
    found.map(({ name, size }) => [name, size]),
  );
}

/** Content on this node's disk. A `Map` keeps the order of use: what was used last stands last. */
class DiskBlobCache implements BlobCache {
  readonly #ports: BlobCachePorts;
  readonly #blobs = new Map<string, Blob>();
  readonly #held = new Map<string, Set<string>>();
  readonly #fetches = new Map<string, Fetch>();
  /** Bytes of what is there and of what is being fetched. */
  #usedBytes = 0;
  /** Who waits for room, and how to wake them all. */
  readonly #short = new Set<string>();
  #wakers: (() => void)[] = [];

  constructor(ports: BlobCachePorts, found: readonly (readonly [name: string, sizeBytes: number])[]) {
    this.#ports = ports;
    for (const [name, sizeBytes] of found) {
      this.#blobs.set(name, { sizeBytes, holders: new Set() });
      this.#usedBytes += sizeBytes;
    }
  }

  async obtain(
    namespace: string,
    hash: ContentHash,
    sizeBytes: number | undefined,
    holder: string,
    signal: AbortSignal,
  ): Promise<string> {
    const name = hash.slice('blake3:'.length);
    while (!this.#pin(name, holder)) {
      signal.throwIfAborted();
      const fetching = this.#fetches.get(name);
      // One that everybody has left ends first; what it got is not lost.
      if (fetching?.stop.signal.aborted) await fetching.done.catch(() => undefined);
      else await this.#join(fetching ?? this.#fetch(namespace, hash, name, sizeBytes, holder), signal);
    }
    return join(this.#ports.folder, name);
  }

  release(holder: string): void {
    for (const name of this.#held.get(holder) ?? []) this.#blobs.get(name)?.holders.delete(holder);
    this.#held.delete(holder);
    this.#evict(this.#ports.quotaBytes);
    this.#wakeShort();
  }

  shed(bytes: number): void {
    this.#evict(this.#usedBytes - bytes);
  }

  #pin(name: string, holder: string): boolean {
    const blob = this.#blobs.get(name);
    if (!blob) return false;
    if (blob.holders.size === 0) {
      this.#blobs.delete(name);
      this.#blobs.set(name, blob);
      // Only the order after a restart hangs on it.
      const nowS = this.#ports.clock.nowMs() / 1000;
      utimes(join(this.#ports.folder, name), nowS, nowS).catch((error: unknown) =>
        this.#ports.log.warn({ error: String(error), name }, 'cannot note the use of cached content'),
      );
    }
    blob.holders.add(holder);
    const held = this.#held.get(holder) ?? new Set();
    this.#held.set(holder, held.add(name));
    return true;
  }

  #fetch(namespace: string, hash: ContentHash, name: string, sizeBytes: number | undefined, holder: string): Fetch {
    const stop = new AbortController();
    const run = async () => {
      try {
        const bytes = await this.#fetchReserved(
          namespace,
          hash,
          join(this.#ports.folder, name),
          sizeBytes ?? 0,
          holder,
          stop.signal,
        );
        this.#blobs.set(name, { sizeBytes: bytes, holders: new Set() });
      } finally {
        this.#fetches.delete(name);
        this.#wakeShort();
      }
    };
    const fetch: Fetch = { done: run(), stop, waiters: 0 };
    this.#fetches.set(name, fetch);
    return fetch;
  }

  async #fetchReserved(
    namespace: string,
    hash: ContentHash,
    target: string,
    reservedBytes: number,
    holder: string,
    signal: AbortSignal,
  ): Promise<number> {
    await this.#makeRoom(reservedBytes, hash, holder, signal);
    this.#usedBytes += reservedBytes;
    let bytes = 0;
    try {
      bytes = await fetchBlob(this.#ports, { namespace, hash, target }, signal);
    } finally {
      this.#usedBytes += bytes - reservedBytes;
    }
    return bytes;
  }

  /** Waits for a fetch that others may share; the last one to lose interest stops it. */
  async #join(fetch: Fetch, signal: AbortSignal): Promise<void> {
    fetch.waiters += 1;
    let leave = () => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      await Promise.race([fetch.done, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      fetch.waiters -= 1;
      if (fetch.waiters === 0) fetch.stop.abort(new Error('nobody waits for this content any more'));
    }
  }

  /**
   * Evicts until the bytes fit. What other attempts hold is waited for: they let go when they end. When nobody else is
   * going to let go, the quota is too small for this, and that is said.
   */
  async #makeRoom(bytes: number, hash: ContentHash, holder: string, signal: AbortSignal): Promise<void> {
    const { quotaBytes } = this.#ports;
    for (;;) {
      signal.throwIfAborted();
      this.#evict(quotaBytes - bytes);
      if (this.#usedBytes + bytes <= quotaBytes) return;
      const willLetGo = [...this.#held.keys()].some((other) => other !== holder && !this.#short.has(other));
      if (bytes > quotaBytes || !willLetGo) {
        throw new Fault(
          'disk-full',
          `Cannot fetch ${hash}: its ${bytes} bytes do not fit into the input cache (quota ${quotaBytes} bytes, blobs.quota in the agent's settings)`,
        );
      }
      this.#short.add(holder);
      try {
        await new Promise<void>((resolve) => {
          this.#wakers.push(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      } finally {
        this.#short.delete(holder);
      }
    }
  }

  #wakeShort(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }

  /** Removes what nobody holds, least recently used first, until no more than `limitBytes` are used. */
  #evict(limitBytes: number): void {
    for (const [name, blob] of this.#blobs) {
      if (this.#usedBytes <= limitBytes) return;
      if (blob.holders.size > 0) continue;
      this.#blobs.delete(name);
      this.#usedBytes -= blob.sizeBytes;
      // Out of the way at once, so that a new fetch of the same content cannot be hit by a slow removal.
      const gone = join(this.#ports.folder, `${name}.gone`);
      renameSync(join(this.#ports.folder, name), gone);
      rm(gone, { force: true }).catch((error: unknown) =>
        this.#ports.log.warn({ error: String(error), name }, 'cannot remove cached content'),
      );
    }
  }
}
