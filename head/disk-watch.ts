import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { background } from '../base/background.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { isSystemError, messageOf, type Refusal, refused } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { type DiskRole, type DiskTrouble, diskRoles, shortText, troubleText } from './disk-trouble.ts';
import type { Notices } from './notices.ts';

/** What those who write ask of the head's disks. */
export interface Disks {
  /** Why nothing new may be written there; nothing when all is well. */
  problem(role: DiskRole): Refusal | undefined;
  /** A write there failed: it is looked at again at once, and told of. */
  failed(role: DiskRole, why: string): void;
}

/** What the watch is made of. */
export interface DiskWatchPorts {
  /** Each may be on a disk of its own. */
  readonly folders: Readonly<Record<DiskRole, string>>;
  /** What stays free for what runs to end, in bytes. */
  readonly reserveBytes: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Where people are told. */
  readonly notices: Notices;
}

/** How often disks are looked at, in milliseconds: no event tells of them. More often while somebody waits for one. */
const everyMs = 5_000;
const everyMsInTrouble = 1_000;
/** For how long a write that failed counts, in milliseconds; those who wait try again by then, and say if it fails. */
const failingMs = 15_000;
/** The share of all inodes below which a disk takes no new files, and the most that are kept. */
const inodesShare = 0.01;
const inodesMax = 1_000;

/** Knows which of the head's disks are nearly full or read-only, so that nobody has to find out by failing. */
export class DiskWatch implements Disks {
  readonly #ports: DiskWatchPorts;
  readonly #troubles = new Map<DiskRole, DiskTrouble>();
  readonly #failures = new Map<DiskRole, { readonly why: string; readonly untilMs: number }>();
  readonly #told = new Set<string>();
  #looking: Promise<void> | undefined;
  /** Something happened while they were looked at, too late for that look. */
  #again = false;
  #timer: Timer | undefined;
  #closed = false;

  constructor(ports: DiskWatchPorts) {
    this.#ports = ports;
  }

  problem(role: DiskRole): Refusal | undefined {
    const trouble = this.#troubles.get(role);
    return trouble && refused('disk-full', `Cannot take anything new: ${shortText(role, trouble)}; try again later`);
  }

  failed(role: DiskRole, why: string): void {
    this.#failures.set(role, { why, untilMs: this.#ports.clock.monotonicMs() + failingMs });
    this.#look();
  }

  /** Looks, and keeps looking until closed. Resolves after the first look. */
  async start(): Promise<void> {
    this.#look();
    await this.#looking;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #look(): void {
    if (this.#closed) return;
    if (this.#looking !== undefined) {
      this.#again = true;
      return;
    }
    this.#timer?.cancel();
    this.#again = false;
    this.#looking = this.#lookAtAll().finally(() => {
      this.#looking = undefined;
      if (this.#again) return this.#look();
      const nextMs = this.#troubles.size > 0 ? everyMsInTrouble : everyMs;
      if (!this.#closed) this.#timer = this.#ports.clock.setTimer(nextMs, () => this.#look());
    });
    background(this.#looking);
  }

  async #lookAtAll(): Promise<void> {
    const disks = new Map<string, { roles: DiskRole[]; trouble: DiskTrouble }>();
    for (const role of diskRoles) {
      const folder = this.#ports.folders[role];
      const { device, trouble } = await this.#lookAt(role, folder);
      if (trouble === undefined) {
        this.#troubles.delete(role);
        continue;
      }
      this.#troubles.set(role, trouble);
      const key = `disk ${device} ${trouble.kind}`;
      const disk = disks.get(key) ?? { roles: [], trouble };
      disks.set(key, { ...disk, roles: [...disk.roles, role] });
    }
    this.#tell(disks);
  }

  async #lookAt(role: DiskRole, folder: string): Promise<{ device: number; trouble: DiskTrouble | undefined }> {
    const failure = this.#failure(role);
    try {
      const [{ dev: device }, disk, readOnly] = await Promise.all([stat(folder), statfs(folder), isReadOnly(folder)]);
      const freeBytes = disk.bavail * disk.bsize;
      // Some filesystems make inodes as they need them, and tell of none.
      const isOut = disk.files > 0 && disk.ffree < Math.min(inodesMax, disk.files * inodesShare);
      if (readOnly) return { device, trouble: { kind: 'read-only' } };
      if (freeBytes < this.#ports.reserveBytes) return { device, trouble: { kind: 'short', freeBytes } };
      if (isOut) return { device, trouble: { kind: 'no-inodes', free: disk.ffree } };
      return { device, trouble: failure };
    } catch (error) {
      this.#ports.log.warn({ folder, error: messageOf(error) }, 'cannot see how full a disk is');
      return { device: -1, trouble: failure };
    }
  }

  #failure(role: DiskRole): DiskTrouble | undefined {
    const failure = this.#failures.get(role);
    if (failure && failure.untilMs > this.#ports.clock.monotonicMs()) return { kind: 'failing', why: failure.why };
    this.#failures.delete(role);
    return undefined;
  }

  #tell(disks: ReadonlyMap<string, { readonly roles: readonly DiskRole[]; readonly trouble: DiskTrouble }>): void {
    const { notices, folders, reserveBytes, log } = this.#ports;
    for (const key of this.#told) {
      if (disks.has(key)) continue;
      this.#told.delete(key);
      notices.unsay(key);
      log.info({ notice: key }, 'a disk is as it should be again');
    }
    for (const [key, { roles, trouble }] of disks) {
      const [first] = roles;
      if (first === undefined) continue;
      const text = troubleText(roles, folders[first], trouble, reserveBytes);
      if (this.#told.has(key)) notices.amend(key, text);
      else notices.say(key, text);
      this.#told.add(key);
    }
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
