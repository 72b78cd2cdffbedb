import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { makeFolderSync } from '../../base/make-folder.ts';
import { withSpares } from '../../base/spare-descriptors.ts';
import type { ProcessLimits } from '../ports.ts';
import { type CgroupVersion, makeGroupsFolder } from './cgroup.ts';

/** What the kernel can count, limit or stop for a group of processes. */
export type ControlName = 'memory' | 'processes' | 'cpu' | 'freezer';

/** Where the groups of supervisors are made for one thing. */
export interface Control {
  readonly version: CgroupVersion;
  /** The folder of all groups. */
  readonly parent: string;
}

/** What can be limited by the kernel here. What is missing is left to rlimits and to a watching agent. */
export type Controls = Readonly<Partial<Record<ControlName, Control>>>;

const controllers: Readonly<Record<Exclude<ControlName, 'freezer'>, string>> = {
  memory: 'memory',
  processes: 'pids',
  cpu: 'cpu',
};
/** CPU time that one core stands for, in the units of each version. */
const sharesPerCore = { v1: 1024, v2: 100 };
const sharesMax = { v1: 262_144, v2: 10_000 };

/**
 * Finds by trying which controllers can be used. `groups` is the folder of version 2 in which supervisors have their
 * groups ('' when they have none there), `name` the one for groups of version 1.
 */
export function findControls(groups: string, name: string): Controls {
  const found = Object.entries(controllers).flatMap(([control, controller]) => {
    const v2 = groups !== '' && writeControl(join(groups, 'cgroup.subtree_control'), `+${controller}`);
    const parent = v2 ? groups : makeGroupsFolder('v1', name, controller);
    if (parent === undefined) return [];
    return [[control, { version: v2 ? 'v2' : 'v1', parent } satisfies Control] as const];
  });
  return Object.fromEntries(found);
}

/** The control groups of one supervisor. */
export class GroupControls {
  /** Groups to enter besides the one that tracks it. */
  readonly folders: readonly string[];
  /** Files in which the kernel counts processes it killed for want of memory, and starts it refused; '' for none. */
  readonly killsFile: string;
  readonly refusalsFile: string;
  /** What these groups limit. */
  readonly names: readonly ControlName[];
  readonly #controls: Controls;
  readonly #name: string;
  /** As last written: the jobs of a batch have the same limits, and only the first pays for them. */
  #limits: ProcessLimits | undefined;

  constructor(controls: Controls, name: string) {
    this.#controls = controls;
    this.#name = name;
    this.folders = [...new Set(Object.values(controls).map(({ parent }) => join(parent, name)))];
    // Object.keys loses the names of an object's keys, which are all its type has.
    this.names = Object.keys(controls) as ControlName[];
    const { memory, processes } = controls;
    this.killsFile = memory ? join(memory.parent, name, memoryEvents[memory.version]) : '';
    this.refusalsFile = processes ? join(processes.parent, name, 'pids.events') : '';
  }

  /** Makes the groups. Those that are there already stay as they are. */
  make(): void {
    for (const folder of this.folders) makeFolderSync(folder);
  }

  /** Limits what the supervisor starts next. Answers false where the kernel refuses: the group holds too much already. */
  set(limits: ProcessLimits): boolean {
    const last = this.#limits;
    const { memory, processes, cpu } = this.#controls;
    const at = (control: Control) => join(control.parent, this.#name);
    let done = true;
    if (memory && last?.memoryBytes !== limits.memoryBytes) done &&= setMemory(memory.version, at(memory), limits);
    // The supervisor counts, too.
    if (processes && last?.processes !== limits.processes) {
      done &&= writeControl(join(at(processes), 'pids.max'), String(limits.processes + 1));
    }
    if (cpu && last?.cpus !== limits.cpus) done &&= setCores(cpu.version, at(cpu), limits.cpus);
    this.#limits = done ? limits : undefined;
    return done;
  }
}

/** The group of a supervisor of an earlier agent, by the folder of the supervisor. */
export function controlsOf(controls: Controls, supervisorFolder: string): GroupControls {
  return new GroupControls(controls, basename(supervisorFolder));
}

const memoryEvents = { v1: 'memory.oom_control', v2: 'memory.events' };

function setMemory(version: CgroupVersion, group: string, { memoryBytes }: ProcessLimits): boolean {
  const limited = memoryBytes > 0;
  if (version === 'v2') {
    writeControl(join(group, 'memory.swap.max'), limited ? '0' : 'max'); // not there without swap
    return writeControl(join(group, 'memory.max'), limited ? String(memoryBytes) : 'max');
  }
  const withSwap = join(group, 'memory.memsw.limit_in_bytes'); // not there without swap; never below the other one
  writeControl(withSwap, '-1');
  const done = writeControl(join(group, 'memory.limit_in_bytes'), limited ? String(memoryBytes) : '-1');
  if (limited) writeControl(withSwap, String(memoryBytes));
  return done;
}

/** Weighs a group by cores. */
export function setCores(version: CgroupVersion, group: string, cores: number): boolean {
  const file = join(group, version === 'v1' ? 'cpu.shares' : 'cpu.weight');
  return writeControl(file, String(Math.min(sharesMax[version], Math.max(1, cores) * sharesPerCore[version])));
}

/** Writes into a file of a control group. Answers false where the kernel refuses it, or has no such file. */
export function writeControl(file: string, text: string): boolean {
  try {
    withSpares(() => writeFileSync(file, text, { flag: 'r+' }));
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EACCES', 'EPERM', 'EROFS', 'EBUSY', 'EINVAL', 'EOPNOTSUPP', 'ENODEV'))
      return false;
    throw error;
  }
}
