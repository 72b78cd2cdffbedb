import type { Identity } from './identity.ts';
import { threadsOf } from './process-table.ts';
import { readSmallFile } from './small-file.ts';
import { findProcesses } from './tracking.ts';

/** A thread as /proc shows it. */
export interface ThreadFacts {
  readonly pid: number;
  readonly tid: number;
  /** Of the thread, in clock ticks since boot. */
  readonly startTicks: number;
  readonly nice: number;
  /** Processors that it may use, as the kernel writes them ("0-3,8"). */
  readonly cpus: string;
}

/** All threads of a tree, without its supervisor. */
export function findThreads(identity: Identity): readonly ThreadFacts[] {
  return findProcesses(identity).flatMap(threadsOfProcess);
}

/** The threads of one process, its main thread first. */
export function threadsOfProcess(pid: number): readonly ThreadFacts[] {
  return threadsOf(pid).flatMap((thread) => {
    const stat = readSmallFile(`/proc/${pid}/task/${thread}/stat`);
    const status = readSmallFile(`/proc/${pid}/task/${thread}/status`);
    const cpus = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status ?? '')?.[1];
    if (stat === undefined || cpus === undefined) return [];
    // The program's name stands in parentheses and may hold anything, so fields are counted from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [{ pid, tid: Number(thread), startTicks: Number(fields[19]), nice: Number(fields[16]), cpus }];
  });
}

/** One word for a thread, and for no later one with its id. */
export function keyOfThread({ tid, startTicks }: ThreadFacts): string {
  return `${tid}.${startTicks}`;
}
