import { readdirSync, readFileSync } from 'node:fs';
import { isSystemError } from '../../base/errors.ts';
import { withSpares } from '../../base/spare-descriptors.ts';
import { readSmallFile } from './small-file.ts';

/** A process as `/proc/<pid>/stat` shows it. */
export interface ProcessFacts {
  readonly pid: number;
  /** One letter; `Z` and `X` are dead. */
  readonly state: string;
  readonly parent: number;
  readonly session: number;
  readonly threads: number;
  /** Clock ticks since boot. */
  readonly startTicks: number;
}

/** One process, or nothing when there is none with this id. */
export function readProcess(pid: number): ProcessFacts | undefined {
  const stat = readSmallFile(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The program's name stands in parentheses and may hold anything, so fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', parent, , session] = fields;
  const numbers = { parent: Number(parent), session: Number(session), threads: Number(fields[17]) };
  return { pid, state, ...numbers, startTicks: Number(fields[19]) };
}

/** Whether it has not ended; a zombie has. */
export function isAlive(pid: number): boolean {
  return isLiving(readProcess(pid));
}

/** Whether these are facts of a process that has not ended. One whose main thread ended lives in the others. */
export function isLiving(facts: ProcessFacts | undefined): facts is ProcessFacts {
  return facts !== undefined && ((facts.state !== 'Z' && facts.state !== 'X') || facts.threads > 1);
}

/** The states of all threads of a process, one letter each; that of the main thread, which stands for it, is known. */
export function threadStates({ pid, state, threads }: ProcessFacts): readonly string[] {
  if (threads <= 1) return [state];
  return threadsOf(pid).flatMap((thread) => {
    const stat = readSmallFile(`/proc/${pid}/task/${thread}/stat`);
    return stat === undefined ? [] : [stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)];
  });
}

/** Whether any of its threads has a processor, or waits for one. */
export function isRunning(facts: ProcessFacts | undefined): boolean {
  return facts !== undefined && threadStates(facts).includes('R');
}

/** All processes of the machine, read once. Those that end meanwhile are left out. */
export function readProcesses(): readonly ProcessFacts[] {
  return withSpares(() => readdirSync('/proc'))
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((facts) => facts !== undefined);
}

/** Whether a process was started with this entry (`NAME=value`) in its environment; false where that may not be read. */
export function hasInEnvironment(pid: number, entry: string): boolean {
  try {
    return `\0${withSpares(() => readFileSync(`/proc/${pid}/environ`, 'latin1'))}`.includes(`\0${entry}\0`);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return false;
    throw error;
  }
}

/**
 * Everything below a process. The kernel's list of children may leave some out while others end, but it is empty only
 * when there is none: a caller that repeats until it is empty misses nobody.
 */
export function descendants(pid: number): readonly ProcessFacts[] {
  const found: ProcessFacts[] = [];
  const open = readChildren(pid, threadsOf(pid));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const facts = readProcess(next);
    if (facts === undefined) continue;
    // One file for most: nobody but its threads can have started children.
    open.push(...readChildren(next, facts.threads > 1 ? threadsOf(next) : [String(next)]));
    if (isLiving(facts)) found.push(facts);
  }
  return found;
}

/** The boot this is; a pid means nothing in another. */
export function readBootId(): string {
  return withSpares(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

function readChildren(pid: number, threads: readonly string[]): number[] {
  return threads.flatMap((thread) =>
    (readSmallFile(`/proc/${pid}/task/${thread}/children`) ?? '').split(' ').filter(Boolean).map(Number),
  );
}

/** Ids of the threads of a process, that of its main thread first; none when it is gone. */
export function threadsOf(pid: number): readonly string[] {
  try {
    return withSpares(() => readdirSync(`/proc/${pid}/task`));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH')) return [];
    throw error;
  }
}
