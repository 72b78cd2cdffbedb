import { readFile } from 'node:fs/promises';
import { isSystemError } from '../../base/errors.ts';
import type { Probe } from './strain.ts';

/** What seeing the load of other programs needs. */
export interface OtherLoadParts {
  monotonicMs(): number;
  /** Ids of all processes of jobs and builds. */
  ours(): Promise<readonly number[]>;
  /** How many cores of others are too many; nothing: any number is fine. */
  limitCores(): number | undefined;
  /** `/proc`. */
  readonly folder?: string;
}

interface Sample {
  readonly atMs: number;
  readonly busyTicks: number;
  readonly ours: readonly Worked[];
  /** Who started ours, and who started those: what ends leaves its time with them. */
  readonly above: readonly Worked[];
}

/** A process, and how long it and those of its children worked that it has seen end. */
interface Worked {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

/** Of /proc, per second; the same on every architecture that Node runs on. */
const ticksPerSecond = 100;

/** Sees how many cores programs that are not ours kept busy since it looked last. */
export function otherLoad({ monotonicMs, ours, limitCores, folder = '/proc' }: OtherLoadParts): Probe {
  let before: Sample | undefined;
  return async () => {
    const found = await worked(await ours(), folder);
    const pids = new Set(found.map(({ pid }) => pid));
    const starters = await worked(above(found, pids), folder);
    // Also of those that have ended since.
    const more = [...above(starters, pids), ...(before?.above ?? []).map(({ pid }) => pid)];
    const others = more.filter((pid) => !starters.some((one) => one.pid === pid));
    const now: Sample = {
      atMs: monotonicMs(),
      busyTicks: readBusy(await read(`${folder}/stat`)),
      ours: found,
      above: [...starters, ...(await worked(new Set(others), folder))],
    };
    const limit = limitCores();
    const cores = before === undefined ? 0 : otherCores(before, now);
    before = now;
    if (limit === undefined || cores < limit) return undefined;
    return `other programs keep ${limit} cores or more busy`;
  };
}

function otherCores(before: Sample, now: Sample): number {
  const seconds = (now.atMs - before.atMs) / 1_000;
  if (seconds <= 0) return 0;
  const known = new Map([...before.ours, ...before.above].map(({ pid, ticks }) => [pid, ticks]));
  let ours = 0;
  for (const { pid, ticks } of now.ours) ours += ticks - (known.get(pid) ?? 0);
  // Of whoever ended they count all of its time, not only what was since: better too little is seen of others for once.
  for (const { pid, ticks } of now.above) ours += ticks - (known.get(pid) ?? ticks);
  return Math.max(0, now.busyTicks - before.busyTicks - ours) / ticksPerSecond / seconds;
}

/** Time that all processors together worked: user, nice, system, irq, softirq. */
export function readBusy(stat: string): number {
  const [, user, nice, system, , , irq, softirq] = (stat.split('\n')[0] ?? '').split(/\s+/).map(Number);
  return (user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0);
}

/** Who started these, but for the machine's first process. */
function above(found: readonly Worked[], but: ReadonlySet<number>): ReadonlySet<number> {
  return new Set(found.map(({ parent }) => parent).filter((pid) => pid > 1 && !but.has(pid)));
}

/** Those of them that are there. */
async function worked(pids: Iterable<number>, folder: string): Promise<readonly Worked[]> {
  const found = await Promise.all([...pids].map(async (pid) => readWorked(pid, await read(`${folder}/${pid}/stat`))));
  return found.filter((one) => one !== undefined);
}

function readWorked(pid: number, stat: string): Worked | undefined {
  if (stat === '') return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field] ?? 0), 0);
  return { pid, parent: Number(fields[1]), ticks };
}

/** A process may end while it is looked at. */
async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
}
