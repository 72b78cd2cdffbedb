import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What Linux says about processes. A process that ends while it is looked at is simply not there. */

/** Whether the process lives; a zombie does not. */
export function isAlive(pid: number): boolean {
  const state = /^State:\s+(\S)/m.exec(readOr(`/proc/${pid}/status`))?.[1];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** The name of its program, cut off after 15 characters; empty when it is gone. */
export function nameOf(pid: number): string {
  return readOr(`/proc/${pid}/comm`).trim();
}

/** Kilobytes of memory: now, or at most so far. */
export function memoryKb(pid: number, which: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`^${which}:\\s+(\\d+)`, 'm').exec(readOr(`/proc/${pid}/status`))?.[1] ?? Number.NaN);
}

/** Living processes that name `text` in their command, environment, working folder or open files. */
export function processesNaming(text: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => isAlive(pid) && mentions(pid, text))
    .map((pid) => ({ pid, command: readOr(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() }));
}

/** Kills those; what ends by itself in between is no matter. */
export function killAllNaming(text: string): void {
  for (const { pid } of processesNaming(text)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended since it was found.
    }
  }
}

function mentions(pid: number, text: string): boolean {
  if (readOr(`/proc/${pid}/cmdline`).includes(text) || readOr(`/proc/${pid}/environ`).includes(text)) return true;
  if (linkOr(`/proc/${pid}/cwd`).includes(text)) return true;
  return openFiles(pid).some((path) => path.includes(text));
}

function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((name) => linkOr(`/proc/${pid}/fd/${name}`));
  } catch {
    return [];
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
