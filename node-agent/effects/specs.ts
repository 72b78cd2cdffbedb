import { Fault } from '../../base/errors.ts';
import type { AttemptId } from '../../base/ids.ts';
import { openNamed } from '../../base/transfer/open-kept.ts';
import { buildDigest } from '../../config/digest.ts';
import { locateJob } from '../../config/matrix.ts';
import { type BatchSpec, specFeatures, specMaxBytes } from '../../config/spec.ts';
import { readSpec } from '../../config/spec-file.ts';
import type { Assignment } from '../attempts/attempt.ts';
import type { BlobCache, JobOrder } from '../ports.ts';

/** A job ready to be laid out, and what its batch and template say about it. */
export interface LocatedOrder {
  readonly order: JobOrder;
  /** Of the build; empty without one. */
  readonly buildDigest: string;
  readonly timeLimitMs: number;
  /** Names of capabilities the node must have for it. */
  readonly capabilities: readonly string[];
}

/** Specs kept read; a batch's jobs come one after the other. */
const specsMax = 8;

interface KnownSpec {
  readonly spec: BatchSpec;
  readonly digest: string;
}

/** Reads batches' specs, each once. */
export class Specs {
  readonly #blobs: BlobCache;
  readonly #processesMax: () => number;
  readonly #known = new Map<string, KnownSpec>();

  /** `processesMax`: the limit of every job, as the agent's settings have it now. */
  constructor(blobs: BlobCache, processesMax: () => number) {
    this.#blobs = blobs;
    this.#processesMax = processesMax;
  }

  /**
   * The job an attempt runs. The spec stays in the cache until the attempt's holds are released. Throws `Fault`
   * "capability-gone" when this agent is too old for it, "invalid" when the spec is damaged.
   */
  async order(id: AttemptId, assignment: Assignment, signal: AbortSignal): Promise<LocatedOrder> {
    const { namespace, specHash, specIndex, fence } = assignment;
    const path = await this.#blobs.obtain(namespace, specHash, undefined, id, signal);
    const { spec, digest } = this.#known.get(specHash) ?? (await this.#read(path, specHash));
    const unknown = spec.features.filter((feature) => !specFeatures.includes(feature));
    if (unknown.length > 0) {
      throw new Fault('capability-gone', `this agent does not know ${unknown.join(', ')}; update labrun on this node`);
    }
    const job = locateJob(spec, specIndex);
    const needs = [...job.group.needs.capabilities, ...(spec.build?.needs.capabilities ?? [])];
    return {
      order: {
        id,
        spec,
        specIndex,
        index: fence.index,
        attempt: fence.attempt,
        namespace,
        batch: assignment.batch,
        jobName: job.name,
        params: job.params,
        cpus: assignment.cpus,
        memoryBytes: assignment.memoryBytes,
        limits: {
          memoryBytes: assignment.memoryBytes,
          processes: this.#processesMax(),
          diskBytes: job.group.needs.diskBytes,
          cpus: assignment.cpus,
        },
      },
      buildDigest: digest,
      timeLimitMs: job.group.timeLimitMs,
      capabilities: needs.map(({ name }) => name),
    };
  }

  async #read(path: string, hash: string): Promise<KnownSpec> {
    const spec = readSpec(await bytesOf(path));
    if ('code' in spec) throw new Fault('invalid', spec.message);
    const known = { spec, digest: buildDigest(spec) };
    this.#known.set(hash, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= specsMax) break;
      this.#known.delete(oldest);
    }
    return known;
  }
}

/** Nobody but us should have written there; were it a job of our account, nothing is waited for, and no more is read than a spec may have. */
async function bytesOf(path: string): Promise<Buffer> {
  const file = await openNamed(path);
  try {
    const { size } = await file.stat();
    if (size > specMaxBytes) throw new Fault('invalid', `Cannot read a batch: its spec has ${size} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
