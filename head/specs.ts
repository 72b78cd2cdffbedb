import { readFile } from 'node:fs/promises';
import { assert } from '../base/assert.ts';
import { Fault, isSystemError, type Refusal } from '../base/errors.ts';
import { asContentHash, type ContentHash, hashBytes } from '../base/transfer/hash.ts';
import { locateJob } from '../config/matrix.ts';
import type { BatchSpec, Params } from '../config/spec.ts';
import { readSpec } from '../config/spec-file.ts';
import type { BlobStore } from './archive/blobs.ts';
import type { Submission } from './scheduler/event.ts';

/** Bytes of specs kept read; the least recently used goes first. A spec larger than this is read whenever it is needed. */
const keptMaxBytes = 16 * 2 ** 20;

/** A job as its spec names it. */
export interface NamedJob {
  readonly name: string;
  readonly params: Params;
}

/** Where a job is described: which of its batch's submissions, and its number in that spec. */
export interface SpecPlace {
  readonly part: number;
  readonly specIndex: number;
}

/** Resolved specs by their hash, read from the blobs and kept while there is room. */
export class Specs {
  readonly #blobs: BlobStore;
  readonly #recover: (hash: ContentHash) => Promise<Buffer | undefined>;
  readonly #kept = new Map<string, { spec: BatchSpec; bytes: number }>();
  #keptBytes = 0;
  /** Those that are being looked for. */
  readonly #searches = new Map<ContentHash, Promise<Buffer | undefined>>();
  readonly #contents = new WeakMap<BatchSpec, ReadonlySet<string>>();

  /** `recover`: where else a spec may be whose blob is gone or damaged. */
  constructor(blobs: BlobStore, recover: (hash: ContentHash) => Promise<Buffer | undefined>) {
    this.#blobs = blobs;
    this.#recover = recover;
  }

  /** The spec, or why it cannot be used. Throws `Fault` "lost" when its blob is gone, which a pin prevents. */
  async read(hash: ContentHash): Promise<BatchSpec | Refusal> {
    const kept = this.#kept.get(hash);
    if (kept) {
      this.#kept.delete(hash);
      this.#kept.set(hash, kept);
      return kept.spec;
    }
    const bytes = await this.#bytesOf(hash);
    const spec = readSpec(bytes);
    if (!('kind' in spec)) this.#keep(hash, spec, bytes.length);
    return spec;
  }

  /** Of its blob; or, where that is gone or no longer what was put, of wherever else it is. */
  async #bytesOf(hash: ContentHash): Promise<Buffer> {
    const bytes = await readFile(this.#blobs.pathOf(hash)).catch((error: unknown) => {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (bytes && hashBytes(bytes) === hash) return bytes;
    const found = await this.#search(hash);
    if (found) return found;
    const what = bytes ? 'is damaged on' : 'is gone from';
    throw new Fault('lost', `Cannot read the spec "${hash}": its blob ${what} the head's disk`);
  }

  /** All who miss it wait for one search: two would write the same file at the same time. */
  #search(hash: ContentHash): Promise<Buffer | undefined> {
    const search = this.#searches.get(hash) ?? this.#recover(hash).finally(() => this.#searches.delete(hash));
    this.#searches.set(hash, search);
    return search;
  }

  /** The spec of a batch that was accepted, which was checked then. */
  async get(specHash: string): Promise<BatchSpec> {
    const hash = asContentHash(specHash);
    const spec = hash ? await this.read(hash) : undefined;
    if (!spec || 'kind' in spec)
      throw new Fault('lost', `Cannot read the spec "${specHash}": ${spec?.message ?? 'no hash'}`);
    return spec;
  }

  /** Whether a spec names this content as an input. Which it names is found once, while it is kept. */
  async names(specHash: string, content: string): Promise<boolean> {
    const spec = await this.get(specHash);
    const known = this.#contents.get(spec) ?? new Set(contentsOf(spec));
    this.#contents.set(spec, known);
    return known.has(content);
  }

  /** Names and parameters of a batch's jobs, for many of them: each part's spec is read once. */
  async naming(parts: readonly Pick<Submission, 'specHash'>[]): Promise<(at: SpecPlace) => NamedJob> {
    const specs: BatchSpec[] = [];
    for (const part of parts) specs.push(await this.get(part.specHash));
    return ({ part, specIndex }) => {
      const spec = specs[part];
      assert(spec, 'a row points at a part of its batch');
      return locateJob(spec, specIndex);
    };
  }

  #keep(hash: string, spec: BatchSpec, bytes: number): void {
    if (bytes > keptMaxBytes) return;
    this.#kept.set(hash, { spec, bytes });
    this.#keptBytes += bytes;
    for (const [oldest, { bytes: size }] of this.#kept) {
      if (this.#keptBytes <= keptMaxBytes) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= size;
    }
  }
}

function* contentsOf(spec: BatchSpec): Generator<string> {
  for (const entries of Object.values(spec.sources))
    for (const entry of entries) if (entry.kind === 'file') yield entry.hash;
}
