import { type FSWatcher, watch } from 'node:fs';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import type { LimitName, ProcessLimits } from '../ports.ts';
import type { GroupControls } from './controls.ts';
import { readSmallFile } from './small-file.ts';

/** What a watch of limits needs. */
export interface LimitWatchPorts {
  readonly clock: Clock;
  /** Of the supervisor whose tree is watched. */
  readonly controls: GroupControls;
  /** The living processes of the tree. */
  processes(): readonly number[];
}

/** Longest time between two looks, in milliseconds; a look reads two small files, or two for each process. */
const lookEveryMs = 5_000;
/** Size of a page, in which the kernel counts resident memory, in bytes: the least of all that it may be. */
const pageBytes = 4_096;

/**
 * Tells once when a tree has come to a limit. Control groups of version 2 say so by an event; those of version 1 have
 * none that we can hear, and without any the processes themselves are counted. Counts begin at 0, because a supervisor
 * whose group has counted anything gets no other tree.
 */
export class LimitWatch {
  readonly #ports: LimitWatchPorts;
  readonly #limits: ProcessLimits;
  readonly #tell: (limit: LimitName) => void;
  readonly #watchers: FSWatcher[] = [];
  #timer: Timer | undefined;

  constructor(ports: LimitWatchPorts, limits: ProcessLimits, tell: (limit: LimitName) => void) {
    this.#ports = ports;
    this.#limits = limits;
    this.#tell = tell;
    for (const file of [ports.controls.killsFile, ports.controls.refusalsFile]) this.#listen(file);
    this.#look();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }

  #listen(file: string): void {
    if (file === '') return;
    try {
      this.#watchers.push(watch(file, () => this.#look()));
    } catch (error) {
      // No watches left, or the group is gone: the looks go on.
      if (!isSystemError(error, 'ENOSPC', 'EMFILE', 'ENOENT', 'ENODEV', 'EACCES')) throw error;
    }
  }

  #look(): void {
    this.#timer?.cancel();
    const passed = this.#passed();
    if (passed === undefined) {
      this.#timer = this.#ports.clock.setTimer(lookEveryMs, () => this.#look());
      return;
    }
    this.close();
    this.#tell(passed);
  }

  #passed(): LimitName | undefined {
    const { controls } = this.#ports;
    const { memoryBytes, processes } = this.#limits;
    if (counted(controls.killsFile, 'oom_kill') > 0) return 'memory';
    if (counted(controls.refusalsFile, 'max') > 0) return 'processes';
    const countsMemory = controls.killsFile === '' && memoryBytes > 0;
    const countsProcesses = controls.refusalsFile === '';
    if (!countsMemory && !countsProcesses) return undefined;
    const found = this.#ports.processes();
    if (countsProcesses && found.length >= processes) return 'processes';
    return countsMemory && residentBytes(found) > memoryBytes ? 'memory' : undefined;
  }
}

/** What the kernel has counted under this name; 0 where it does not count. */
function counted(file: string, name: string): number {
  if (file === '') return 0;
  const line = (readSmallFile(file) ?? '').split('\n').find((text) => text.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** Memory shared by several processes counts for each: a tree may be ended early, never too late. */
function residentBytes(pids: readonly number[]): number {
  return (
    pids.reduce((sum, pid) => sum + Number(readSmallFile(`/proc/${pid}/statm`)?.split(' ')[1] ?? 0), 0) * pageBytes
  );
}
