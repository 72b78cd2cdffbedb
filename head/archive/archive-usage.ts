import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { nameKey } from '../../base/names.ts';
import { formatBytes } from '../../config/units.ts';
import { treeSize } from './tree-size.ts';

/** What measuring the archive needs. */
export interface ArchiveUsagePorts {
  readonly clock: Clock;
  readonly log: Log;
  /** Every namespace that has something in the archive, or could be full. */
  namespaces(): Promise<readonly string[]>;
  /** A namespace's folder. */
  folderOf(namespace: string): string;
  /** Infinite: nothing is counted. */
  quotaOf(namespace: string): number;
  /** Tells the cluster that a namespace is full, and how; or, with an empty text, that it has room. */
  tell(namespace: string, full: string): Promise<void>;
}

/** How often the folder of a full namespace is counted again, in milliseconds: nothing tells when people remove files. */
const recountMs = 10 * 60_000;
/** Shortest time between two counts that somebody asked for, in milliseconds. */
const askedMinMs = 60_000;

interface Count {
  readonly namespace: string;
  bytes: number | undefined;
  countedAtMs: number;
  counting: boolean;
}

/**
 * What namespaces with a quota keep in the archive: counted at start, added to with every archive, and counted again
 * before a namespace is called full, for people remove files by hand. Running jobs always end and keep their results;
 * a full namespace starts none.
 */
export class ArchiveUsage {
  readonly #ports: ArchiveUsagePorts;
  readonly #counts = new Map<string, Count>();
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;

  constructor(ports: ArchiveUsagePorts) {
    this.#ports = ports;
  }

  /** Begins to count. */
  start(): void {
    this.#then(async () => {
      for (const namespace of await this.#ports.namespaces()) {
        if (this.#quota(namespace)) this.#count(this.#entry(namespace));
        else await this.#ports.tell(namespace, '');
      }
    });
  }

  /** Something was added to a namespace's folder. */
  add(namespace: string, bytes: number): void {
    const quota = this.#quota(namespace);
    if (!quota) return;
    const entry = this.#entry(namespace);
    if (entry.bytes === undefined) return this.#count(entry);
    entry.bytes += bytes;
    // Only a fresh count makes it full: what was removed meanwhile was not noticed.
    if (entry.bytes >= quota) this.#count(entry);
  }

  /** What a namespace has used, in bytes; `bytes` is missing until it was counted. Nothing where there is no quota. */
  used(namespace: string): { readonly bytes: number | undefined; readonly quota: number } | undefined {
    const quota = this.#quota(namespace);
    return quota ? { bytes: this.#entry(namespace).bytes, quota } : undefined;
  }

  /** Counts again soon, because somebody wants to know whether there is room. */
  recount(namespace: string): void {
    if (!this.#quota(namespace)) return;
    const entry = this.#entry(namespace);
    if (this.#ports.clock.monotonicMs() - entry.countedAtMs >= askedMinMs) this.#count(entry);
  }

  /** Counts again now: much was just removed. */
  shrunk(namespace: string): void {
    if (this.#quota(namespace)) this.#count(this.#entry(namespace));
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the head is stopping'));
    this.#timer?.cancel();
    await this.#work;
  }

  #quota(namespace: string): number | undefined {
    const bytes = this.#ports.quotaOf(namespace);
    return Number.isFinite(bytes) ? bytes : undefined;
  }

  #entry(namespace: string): Count {
    const key = nameKey(namespace);
    const known = this.#counts.get(key);
    if (known) return known;
    const entry = { namespace, bytes: undefined, countedAtMs: Number.NEGATIVE_INFINITY, counting: false };
    this.#counts.set(key, entry);
    return entry;
  }

  #count(entry: Count): void {
    if (entry.counting) return;
    entry.counting = true;
    this.#then(async () => {
      entry.counting = false; // what comes from now on may be missed by this count, and asks for another
      entry.bytes = await treeSize(this.#ports.folderOf(entry.namespace), this.#stop.signal);
      entry.countedAtMs = this.#ports.clock.monotonicMs();
      await this.#judge(entry);
    });
  }

  async #judge({ namespace, bytes = 0 }: Count): Promise<void> {
    const quota = this.#quota(namespace) ?? Number.POSITIVE_INFINITY;
    if (bytes < quota) return await this.#ports.tell(namespace, '');
    const full =
      `the namespace "${namespace}" has used ${formatBytes(bytes)} of its ${formatBytes(quota)} in the archive; ` +
      'delete what is not needed ("labrun delete BATCH"), or remove it there and submit again a minute later, or have an admin raise its quota in head.yaml';
    this.#ports.log.warn({ namespace, bytes, quota }, 'a namespace has used up its quota; none of its jobs starts');
    await this.#ports.tell(namespace, full);
    this.#timer?.cancel();
    this.#timer = this.#ports.clock.setTimer(recountMs, () => this.#recountFull());
  }

  #recountFull(): void {
    for (const entry of this.#counts.values())
      if ((entry.bytes ?? 0) >= (this.#quota(entry.namespace) ?? Number.POSITIVE_INFINITY)) this.#count(entry);
  }

  /** One thing at a time: counting is work for the disk that serves people. */
  #then(task: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#stop.signal.aborted) return;
      try {
        await task();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#ports.log.warn({ error: messageOf(error) }, 'cannot count what a namespace keeps in the archive');
      }
    });
    background(this.#work);
  }
}
