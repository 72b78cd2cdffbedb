import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { type AttemptId, attemptId, type BatchId, type Fence, type NodeId, parseAttemptId } from '../../base/ids.ts';
import { makeFolder } from '../../base/make-folder.ts';
import type { HeadEngine } from '../ports.ts';
import type { AttemptRef } from '../scheduler/attempt.ts';
import { type ArchiveLayout, attemptOfStaging, inlineSuffix } from './layout.ts';
import type { StageFiles } from './stage-writer.ts';
import { StagedAttempt } from './staged-attempt.ts';
import type { StagingUsage } from './staging-usage.ts';

/** What staging asks of the cluster's state. */
export interface StagingPorts {
  readonly layout: ArchiveLayout;
  /** Of a live attempt; nothing when the fence is no longer the current one. */
  readonly factsOf: (attempt: AttemptRef) => Promise<LiveFacts | undefined>;
  readonly namespaceOf: (batchId: BatchId) => Promise<string>;
  readonly usage: StagingUsage;
  readonly files: StageFiles;
}

/** What staging wants to know of a live attempt. */
export interface LiveFacts {
  readonly nodeId: NodeId;
  /** Its job has ended: what comes now is all there will be, and has to be kept. */
  readonly isEnding: boolean;
}

/** What staging asks, answered by the engine. */
export function liveFacts(engine: Pick<HeadEngine, 'query'>): Pick<StagingPorts, 'factsOf' | 'namespaceOf'> {
  return {
    factsOf: (ref) =>
      engine.query((state) => {
        const attempt = state.attempts.get(attemptId(ref, ref.attempt));
        return (
          attempt && { nodeId: attempt.nodeId, isEnding: attempt.cancelling || attempt.phase.kind === 'archiving' }
        );
      }),
    namespaceOf: (batchId) => engine.query((state) => state.batches.get(batchId)?.namespace ?? ''),
  };
}

/** Attempts whose files are on their way in. Their number is bounded by the live attempts. */
export class Staging {
  readonly #ports: StagingPorts;
  readonly #attempts = new Map<AttemptId, Promise<StagedAttempt>>();
  /** What was there at the start. */
  #found: ReadonlySet<AttemptId> = new Set();

  constructor(ports: StagingPorts) {
    this.#ports = ports;
  }

  async start(): Promise<void> {
    const folder = this.#ports.layout.stagingFolder;
    await makeFolder(folder);
    // Trees that were being made when the head was killed are made again from the log.
    for (const name of await readdir(folder)) {
      if (name.endsWith(inlineSuffix)) await rm(join(folder, name), { recursive: true, force: true });
    }
    this.#found = new Set(await this.list());
  }

  /**
   * Removes what attempts have left that are over without an archive, such as one whose job was given to another node.
   * `published` resolves once everything accepted before the call is part of the tree.
   */
  async sweep(isLive: (ids: readonly AttemptId[]) => Promise<readonly boolean[]>, published: () => Promise<void>) {
    const staged = await this.list();
    const live = await isLive(staged);
    await published();
    for (const [at, id] of staged.entries()) if (!live[at]) await this.drop(id);
  }

  /** An attempt's staging for the node that runs it. Throws `RefusedError` "stale" for anyone and anything else. */
  async forNode(fence: Fence, nodeId: NodeId): Promise<StagedAttempt> {
    const id = attemptId(fence, fence.attempt);
    const facts = await this.#ports.factsOf(fence);
    if (facts?.nodeId === nodeId) return await this.open(id);
    // What is over is closed. What another node runs is none of this one's business.
    if (!facts) await this.forget(id);
    throw new RefusedError(refused('stale', `Cannot take files of attempt ${id}: it is not this node's any more`));
  }

  /**
   * What is staged of an attempt whose end is to be checked; nothing when it is over, for then it may be on its way into the
   * tree, and is nobody's to change.
   */
  async openLive(ref: AttemptRef): Promise<StagedAttempt | undefined> {
    const facts = await this.#ports.factsOf(ref);
    return facts && (await this.open(attemptId(ref, ref.attempt)));
  }

  /** What is staged of an attempt, whoever asks. */
  open(id: AttemptId): Promise<StagedAttempt> {
    const known = this.#attempts.get(id);
    if (known) return known;
    const opening = this.#open(id);
    this.#attempts.set(id, opening);
    opening.catch(() => this.#attempts.delete(id)); // whoever asked hears why
    return opening;
  }

  /**
   * Asked where the namespace has used up what may be here of running jobs. Throws `RefusedError` "busy" while the job
   * runs: its files then come when it has ended, and no result ever waits for another.
   */
  async checkEnding(fence: Fence): Promise<void> {
    const facts = await this.#ports.factsOf(fence);
    if (!facts || facts.isEnding) return;
    throw new RefusedError(
      refused(
        'busy',
        'Cannot take files of a running job: its namespace has used up the quota for them; they come when it has ended',
      ),
    );
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

  /** The same where the archive came another way; most of those have staged nothing, and cost nothing here. */
  async dropStaged(id: AttemptId): Promise<void> {
    if (this.#attempts.has(id) || this.#found.has(id)) await this.drop(id);
  }

  /** Closes every file; what is staged stays for the next start. */
  async close(): Promise<void> {
    for (const [id, opening] of this.#attempts) {
      this.#attempts.delete(id);
      await (await opening).close();
    }
  }

  async #open(id: AttemptId): Promise<StagedAttempt> {
    const ref = parseAttemptId(id);
    assert(ref, 'ids of attempts can be read');
    const share = this.#ports.usage.shareOf(await this.#ports.namespaceOf(ref.batchId));
    return await StagedAttempt.open(this.#ports.layout.staging(id), share, this.#ports.files);
  }

  /** Attempts that have a staging folder. */
  async list(): Promise<AttemptId[]> {
    const names = await readdir(this.#ports.layout.stagingFolder);
    return names.flatMap((name) => attemptOfStaging(name) ?? []);
  }
}
