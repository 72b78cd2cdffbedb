import { mkdir, readdir, rm } from 'node:fs/promises';
import { RefusedError, refused } from '../../base/errors.ts';
import { type AttemptId, attemptId, type Fence, type NodeId } from '../../base/ids.ts';
import { type ArchiveLayout, attemptOfStaging } from './layout.ts';
import { StagedAttempt } from './staged-attempt.ts';

/** What staging asks of the cluster's state. */
export interface StagingPorts {
  readonly layout: ArchiveLayout;
  /** The node whose live attempt this is; nothing when the fence is no longer the current one. */
  readonly holderOf: (fence: Fence) => Promise<NodeId | undefined>;
}

/** Attempts whose files are on their way in. Their number is bounded by the live attempts. */
export class Staging {
  readonly #ports: StagingPorts;
  readonly #attempts = new Map<AttemptId, Promise<StagedAttempt>>();

  constructor(ports: StagingPorts) {
    this.#ports = ports;
  }

  async start(): Promise<void> {
    await mkdir(this.#ports.layout.stagingFolder, { recursive: true });
  }

  /** An attempt's staging for the node that runs it. Throws `RefusedError` "stale" for anyone and anything else. */
  async forNode(fence: Fence, nodeId: NodeId): Promise<StagedAttempt> {
    const id = attemptId(fence, fence.attempt);
    if ((await this.#ports.holderOf(fence)) !== nodeId) {
      this.#attempts.delete(id);
      throw new RefusedError(refused('stale', `Cannot take files of attempt ${id}: it is not this node's any more`));
    }
    return await this.open(id);
  }

  /** What is staged of an attempt, whoever asks. */
  open(id: AttemptId): Promise<StagedAttempt> {
    const known = this.#attempts.get(id);
    if (known) return known;
    const opening = StagedAttempt.open(this.#ports.layout.staging(id));
    this.#attempts.set(id, opening);
    opening.catch(() => this.#attempts.delete(id)); // whoever asked hears why
    return opening;
  }

  /** Forgets an attempt that has been accepted; its files are part of the tree now. */
  async forget(id: AttemptId): Promise<void> {
    const known = this.#attempts.get(id);
    this.#attempts.delete(id);
    await (await known)?.close();
  }

  /** Removes what an attempt has staged: it was lost, or given back. */
  async drop(id: AttemptId): Promise<void> {
    await this.forget(id);
    await rm(this.#ports.layout.staging(id), { recursive: true, force: true });
  }

  /** Attempts that have a staging folder. */
  async list(): Promise<AttemptId[]> {
    const names = await readdir(this.#ports.layout.stagingFolder);
    return names.flatMap((name) => attemptOfStaging(name) ?? []);
  }
}
