import type { BatchId } from '../../base/ids.ts';
import { type ArchiveRecord, batchOf } from './archive-record.ts';

/** Records of batches that could not be made part of the tree: in order, and apart from all others. */
export class HeldRecords {
  readonly #batches = new Map<BatchId, ArchiveRecord[]>();
  readonly #tries = new Map<BatchId, { readonly failed: number; readonly why: string }>();
  #count = 0;

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** The number of the oldest; infinite: there is none. */
  get firstSeq(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const [record] of this.#batches.values()) first = Math.min(first, record?.seq ?? first);
    return first;
  }

  batches(): readonly BatchId[] {
    return [...this.#batches.keys()];
  }

  has(batchId: BatchId): boolean {
    return this.#batches.has(batchId);
  }

  /** How often a batch has been tried in vain, and what was wrong the last time. */
  tries(batchId: BatchId): { readonly failed: number; readonly why: string } {
    return this.#tries.get(batchId) ?? { failed: 0, why: '' };
  }

  /** A batch has been tried in vain. */
  failed(batchId: BatchId, why: string): void {
    this.#tries.set(batchId, { failed: this.tries(batchId).failed + 1, why });
  }

  /** Behind those of its batch that are here. */
  add(records: readonly ArchiveRecord[]): void {
    for (const record of records) {
      const own = this.#batches.get(batchOf(record));
      if (own) own.push(record);
      else this.#batches.set(batchOf(record), [record]);
    }
    this.#count += records.length;
  }

  /** The oldest of a batch, at most `max`. */
  first(batchId: BatchId, max: number): readonly ArchiveRecord[] {
    return this.#batches.get(batchId)?.slice(0, max) ?? [];
  }

  /** The oldest `count` of a batch are done. */
  drop(batchId: BatchId, count: number): void {
    const rest = this.#batches.get(batchId)?.slice(count) ?? [];
    if (rest.length > 0) this.#batches.set(batchId, rest);
    else {
      this.#batches.delete(batchId);
      this.#tries.delete(batchId);
    }
    this.#count -= count;
  }
}
