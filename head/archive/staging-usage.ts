import { nameKey } from '../../base/names.ts';

/** A namespace's part of what is on its way in. */
export interface StagingShare {
  /** More has come, or (negative) some has gone; bytes. */
  grow(bytes: number): void;
  /** Whether what may be here before its jobs have ended is used up. */
  isFull(): boolean;
}

/** Bytes of attempts on their way in, by namespace. After a restart an attempt counts from its first news on. */
export class StagingUsage {
  readonly #quotaOf: (namespace: string) => number;
  readonly #bytes = new Map<string, number>();

  /** `quotaOf`: bytes, infinite for none. */
  constructor(quotaOf: (namespace: string) => number) {
    this.#quotaOf = quotaOf;
  }

  shareOf(namespace: string): StagingShare {
    const key = nameKey(namespace);
    const quota = this.#quotaOf(namespace);
    return {
      grow: (bytes) => {
        const now = (this.#bytes.get(key) ?? 0) + bytes;
        if (now > 0) this.#bytes.set(key, now);
        else this.#bytes.delete(key);
      },
      isFull: () => (this.#bytes.get(key) ?? 0) >= quota,
    };
  }

  /** What a namespace has used, in bytes; nothing where there is no quota. */
  used(namespace: string): { readonly bytes: number; readonly quota: number } | undefined {
    const quota = this.#quotaOf(namespace);
    return Number.isFinite(quota) ? { bytes: this.#bytes.get(nameKey(namespace)) ?? 0, quota } : undefined;
  }
}
