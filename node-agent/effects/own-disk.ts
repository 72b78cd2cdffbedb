import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError, messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { formatBytes } from '../../config/units.ts';
import type { OwnDisk } from '../ports.ts';

/** What the watch of the agent's own disk needs. */
export interface OwnDiskPorts {
  /** The agent's data. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** What must stay free, as the settings have it now. */
  reserveBytes(): number;
}

/** How often the disk is looked at, in milliseconds: no event tells of it, and one call is all it takes. */
const everyMs = 2_000;
/** For how long after the trouble a job that has failed may be its victim, in milliseconds. */
const latelyMs = 15_000;
/** How many times the reserve must be free before jobs are taken again, so that a node does not come and go. */
const enough = 1.25;
/** Inodes below which no job is begun: its folders alone take dozens. */
const inodesMin = 100;

type Kind = 'well' | 'short' | 'no-inodes' | 'read-only' | 'record';

/**
 * Knows whether the disk under the agent's data has room, takes files and takes writes. While it does not, no job is
 * begun here, the head is told, and what runs goes on.
 */
export class OwnDiskWatch implements OwnDisk {
  readonly #ports: OwnDiskPorts;
  readonly #listeners: { readonly well: (() => void)[]; readonly short: ((bytes: number) => void)[] } = {
    well: [],
    short: [],
  };
  readonly #stuck = new Set<() => void>();
  #kind: Kind = 'well';
  #trouble = '';
  /** When it was last found in trouble. */
  #troubledMs = Number.NEGATIVE_INFINITY;
  /** Why the record was not written, the last time; empty: it was. */
  #unwritten = '';
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(ports: OwnDiskPorts) {
    this.#ports = ports;
  }

  get trouble(): string {
    return this.#trouble;
  }

  get troubledLately(): boolean {
    return this.#ports.clock.monotonicMs() - this.#troubledMs < latelyMs;
  }

  /** Whether the disk has taken everything that was to be recorded. */
  get isRecorded(): boolean {
    return this.#unwritten === '';
  }

  onWell(listener: () => void): void {
    this.#listeners.well.push(listener);
  }

  onShort(listener: (bytes: number) => void): void {
    this.#listeners.short.push(listener);
  }

  onStuck(listener: () => void): () => void {
    this.#stuck.add(listener);
    if (this.#unwritten !== '') listener();
    return () => this.#stuck.delete(listener);
  }

  /** The record could not be written, and why; empty: it was. */
  recordWritten(why: string): void {
    const isNews = (why === '') !== (this.#unwritten === '');
    this.#unwritten = why;
    if (why !== '') for (const listener of this.#stuck) listener();
    if (isNews) this.#lookNow();
  }

  /** Looks, and keeps looking until closed. Resolves after the first look. */
  async start(): Promise<void> {
    this.#lookNow();
    await this.#looking;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #lookNow(): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#looking = this.#looking.then(() => this.#look());
    background(this.#looking);
    this.#timer = this.#ports.clock.setTimer(everyMs, () => this.#lookNow());
  }

  async #look(): Promise<void> {
    const { folder, log } = this.#ports;
    try {
      const [kind, what] = await this.#examine();
      if (kind !== 'well') this.#troubledMs = this.#ports.clock.monotonicMs();
      if (kind === this.#kind) return;
      this.#kind = kind;
      // The same words while it lasts: each change of them is an event of the head.
      this.#trouble = kind === 'well' ? '' : `its disk (${folder}) ${what}`;
    } catch (error) {
      log.warn({ folder, error: messageOf(error) }, 'cannot see how full the disk is');
      return;
    }
    if (this.#trouble !== '') log.warn({ trouble: this.#trouble }, 'no job is begun here for now');
    else {
      log.info({}, 'the disk has room and takes writes: jobs are begun again');
      for (const listener of this.#listeners.well) listener();
    }
  }

  async #examine(): Promise<readonly [kind: Kind, what: string]> {
    const { folder } = this.#ports;
    const [disk, readOnly] = await Promise.all([statfs(folder), isReadOnly(folder)]);
    const reserveBytes = this.#ports.reserveBytes();
    const wantedBytes = this.#kind === 'short' ? reserveBytes * enough : reserveBytes;
    const freeBytes = disk.bavail * disk.bsize;
    if (readOnly) return ['read-only', 'is read-only'];
    if (freeBytes < wantedBytes) {
      for (const listener of this.#listeners.short) listener(reserveBytes * enough - freeBytes);
      const left = `${formatBytes(freeBytes)} left of the ${formatBytes(reserveBytes)} that are kept free`;
      return ['short', `is nearly full, ${left}`];
    }
    // Some filesystems make inodes as they need them, and tell of none.
    if (disk.files > 0 && disk.ffree < inodesMin)
      return ['no-inodes', `takes no more files, ${disk.ffree} inodes left`];
    if (this.#unwritten !== '') return ['record', `does not take what is written (${this.#unwritten})`];
    return ['well', ''];
  }
}

/** The kernel is asked, nothing is written. */
async function isReadOnly(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK);
    return false;
  } catch (error) {
    if (isSystemError(error, 'EROFS')) return true;
    throw error;
  }
}
