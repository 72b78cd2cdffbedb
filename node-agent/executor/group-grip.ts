import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import { type Clock, delay } from '../../base/clock.ts';
import { deferred } from '../../base/deferred.ts';
import { isSystemError } from '../../base/errors.ts';
import type { FreezingName } from '../ports.ts';
import { type CgroupVersion, freezerOf, groupMembers, setFrozen } from './cgroup.ts';
import type { Grip, Held } from './freeze.ts';
import type { Identity } from './identity.ts';
import { isRunning, readProcess } from './process-table.ts';

/** How long the kernel gets to say that all stand still, in milliseconds, before the processes are asked one by one. */
const patienceMs = 250;
/** How long it gets at most. */
const holdMaxMs = 3_000;
const firstLookMs = 1;
const lastLookMs = 50;

/**
 * Holds a tree by the freezer of its control group, and its supervisor with it, which is in the group. From the moment
 * of asking, nothing in it gets back into its own code: what hangs in the kernel (a dead network filesystem, a FUSE
 * daemon that stands still) is not running, though the kernel then does not call the group frozen.
 */
export class GroupGrip implements Grip {
  readonly name: FreezingName;
  readonly mustWatch = false;
  readonly #identity: Identity;
  readonly #group: string;
  readonly #clock: Clock;

  constructor(
    identity: Identity,
    { version, group }: { readonly version: CgroupVersion; readonly group: string },
    clock: Clock,
  ) {
    this.#identity = identity;
    this.#group = group;
    this.#clock = clock;
    this.name = `cgroup-${version}`;
  }

  isHeld(): boolean {
    return freezerOf(this.#group)?.isAsked === true;
  }

  async hold(isWanted: () => boolean): Promise<Held> {
    const isDone = () => !isWanted() || freezerOf(this.#group)?.isFrozen !== false;
    if (!isWanted() || !setFrozen(this.#group, true)) return { processes: 0, missed: [] };
    if (!isDone()) await this.#heard(isDone);
    const startedMs = this.#clock.monotonicMs();
    for (let waitMs = firstLookMs; !isDone(); waitMs = Math.min(waitMs * 2, lastLookMs)) {
      const tookMs = this.#clock.monotonicMs() - startedMs;
      const running = tookMs < patienceMs ? undefined : this.#members().filter((pid) => isRunning(readProcess(pid)));
      if (running?.length === 0) break;
      if (running && tookMs > holdMaxMs) return { processes: this.#members().length, missed: running };
      setFrozen(this.#group, true); // old kernels stay half way until asked again
      await delay(this.#clock, waitMs);
    }
    return { processes: this.#members().length, missed: [] };
  }

  letGo(): void {
    setFrozen(this.#group, false);
  }

  #members(): readonly number[] {
    return groupMembers(this.#group).filter((pid) => pid !== this.#identity.pid);
  }

  /** Waits for the kernel's word, where it has an event for it; version 1 has none. */
  async #heard(isDone: () => boolean): Promise<void> {
    const heard = deferred<void>();
    const watcher = listen(join(this.#group, 'cgroup.events'), () => isDone() && heard.resolve());
    if (watcher === undefined) return;
    const timer = this.#clock.setTimer(patienceMs, () => heard.resolve());
    try {
      if (!isDone()) await heard.promise; // it may have come before we listened
    } finally {
      timer.cancel();
      watcher.close();
    }
  }
}

function listen(file: string, tell: () => void): FSWatcher | undefined {
  try {
    return watch(file, tell);
  } catch (error) {
    // Version 1, no watches left, or the group is gone: then we look.
    if (isSystemError(error, 'ENOSPC', 'EMFILE', 'ENOENT', 'ENODEV', 'EACCES')) return undefined;
    throw error;
  }
}
