import { RefusedError, refused } from '../../base/errors.ts';
import { nameKey } from '../../base/names.ts';
import { formatBytes } from '../../config/units.ts';

/**
 * Bytes of input files each namespace has here: content it holds, and uploads, those under way at the size they said.
 * Content that several namespaces hold counts for each.
 */
export class InputUsage {
  readonly #quotaOf: (namespace: string) => number;
  readonly #namespaces = new Map<string, { readonly items: Map<string, number>; bytes: number }>();

  /** `quotaOf`: bytes, infinite for none. */
  constructor(quotaOf: (namespace: string) => number) {
    this.#quotaOf = quotaOf;
  }

  /** Whether anything has to be counted for a namespace. */
  counts(namespace: string): boolean {
    return Number.isFinite(this.#quotaOf(namespace));
  }

  /** What a namespace has used, in bytes; nothing where there is no quota. */
  used(namespace: string): { readonly bytes: number; readonly quota: number } | undefined {
    const quota = this.#quotaOf(namespace);
    return this.counts(namespace) ? { bytes: this.#namespaces.get(nameKey(namespace))?.bytes ?? 0, quota } : undefined;
  }

  /** Makes room for an upload of this size. Throws `RefusedError` "limit" when the quota has none. */
  reserve(namespace: string, item: string, bytes: number): void {
    const used = this.used(namespace);
    const own = this.#namespaces.get(nameKey(namespace))?.items.get(item) ?? 0;
    if (used && used.bytes - own + bytes > used.quota) {
      throw new RefusedError(
        refused(
          'limit',
          `Cannot take ${formatBytes(bytes)} of input files: the namespace "${namespace}" has used ${formatBytes(used.bytes)} ` +
            `of its ${formatBytes(used.quota)}; input files go a day after no batch has needed them, or have an admin raise its quota in head.yaml`,
        ),
      );
    }
    this.set(namespace, item, Math.max(own, bytes));
  }

  /** Notes how much an item takes; 0: it is gone. */
  set(namespace: string, item: string, bytes: number): void {
    if (!this.counts(namespace)) return;
    const key = nameKey(namespace);
    const own = this.#namespaces.get(key) ?? { items: new Map<string, number>(), bytes: 0 };
    this.#namespaces.set(key, own);
    own.bytes += bytes - (own.items.get(item) ?? 0);
    if (bytes > 0) own.items.set(item, bytes);
    else own.items.delete(item);
  }
}
