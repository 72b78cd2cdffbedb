import { RefusedError, refused } from '../../base/errors.ts';
import { type AttemptId, attemptId, type BatchId, type Fence, type NodeId } from '../../base/ids.ts';
import { asContentHash, type ContentHash, hashBytes } from '../../base/transfer/hash.ts';
import { manifestEntries, stagedPathOf } from '../../base/transfer/manifest.ts';
import type { Piece, Taken } from '../../head/archive/staged-file.ts';
import type { Sealed } from '../../head/dispatch/intake.ts';
import type { StagedPieces } from '../../head/grpc/archive-put.ts';
import type { SimRandom } from './sim-random.ts';

interface StagedBytes {
  data: Buffer;
  verified: ContentHash | undefined;
  /** What a power cut leaves of it. */
  synced: boolean;
}

/** What the head's disk holds of attempts on their way in. Outlives the head's process. */
export class StagingDisk {
  readonly attempts = new Map<AttemptId, Map<string, StagedBytes>>();

  of(id: AttemptId): Map<string, StagedBytes> {
    const known = this.attempts.get(id) ?? new Map<string, StagedBytes>();
    this.attempts.set(id, known);
    return known;
  }

  /** What was never synced may be there, in part, or not. */
  powerCut(random: SimRandom): void {
    for (const files of this.attempts.values()) {
      for (const [path, file] of files) {
        if (file.synced) continue;
        if (random.chance(0.5)) files.delete(path);
        else file.data = file.data.subarray(0, random.between(0, file.data.length));
        file.verified = undefined;
      }
    }
  }

  /** Checks an attempt against its manifest, and brings it to the disk when it is whole. */
  seal(id: AttemptId, manifestHash: string): Sealed {
    const files = this.of(id);
    const manifest = files.get('manifest');
    if (!manifest || hashBytes(manifest.data) !== manifestHash) return { kind: 'resend', paths: ['manifest'] };
    const wrong = manifestEntries(manifest.data).flatMap((entry) => {
      if (entry.kind !== 'file') return [];
      const path = stagedPathOf(entry.path);
      const file = files.get(path);
      return file && hashBytes(file.data) === entry.hash ? [] : [path];
    });
    if (wrong.length > 0) return { kind: 'resend', paths: wrong };
    for (const file of files.values()) file.synced = true;
    return { kind: 'sealed' };
  }
}

/** What staging asks of the engine. */
export interface LiveFacts {
  factsOf(fence: Fence): Promise<{ readonly nodeId: NodeId; readonly isEnding: boolean } | undefined>;
  namespaceOf(batchId: BatchId): Promise<string>;
}

/** Staging as one process of the head has it: the twin of `head/archive/staging.ts` over a disk that can be cut off. */
export class SimStaging {
  readonly #disk: StagingDisk;
  readonly #facts: LiveFacts;
  readonly #isAlive: () => boolean;

  constructor(disk: StagingDisk, facts: LiveFacts, isAlive: () => boolean) {
    this.#disk = disk;
    this.#facts = facts;
    this.#isAlive = isAlive;
  }

  async forNode(fence: Fence, nodeId: NodeId): Promise<StagedPieces> {
    const id = attemptId(fence, fence.attempt);
    if ((await this.#facts.factsOf(fence))?.nodeId !== nodeId) {
      throw new RefusedError(refused('stale', `Cannot take files of attempt ${id}: it is not this node's any more`));
    }
    const disk = this.#disk;
    const isAlive = this.#isAlive;
    return {
      get closed() {
        return !disk.attempts.has(id);
      },
      isCrowded: false,
      list: () =>
        [...disk.of(id)].map(([path, { data, verified }]) => ({ path, sizeBytes: data.length, hash: verified })),
      async take(path, piece) {
        if (!isAlive()) throw new Error('a dead head takes nothing');
        return takePiece(disk.of(id), path, piece);
      },
    };
  }

  async checkEnding(): Promise<void> {}
}

function takePiece(files: Map<string, StagedBytes>, path: string, piece: Piece): Taken {
  const file = files.get(path) ?? { data: Buffer.alloc(0), verified: undefined, synced: false };
  files.set(path, file);
  if (piece.truncate && piece.offset === 0) file.data = Buffer.alloc(0);
  if (piece.offset > file.data.length) return { offset: file.data.length, verified: false };
  file.data = Buffer.concat([file.data.subarray(0, piece.offset), piece.data]);
  file.verified = undefined;
  file.synced = false;
  if (piece.finalHash === undefined) return { offset: file.data.length, verified: false };
  if (asContentHash(hashBytes(file.data)) !== piece.finalHash) {
    file.data = Buffer.alloc(0);
    return { offset: 0, verified: false };
  }
  file.verified = piece.finalHash;
  return { offset: file.data.length, verified: true };
}
