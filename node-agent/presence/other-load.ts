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
  readonly oursTicks: ReadonlyMap<number, number>;
}

/** Of /proc, per second; the same on every architecture that Node runs on. */
const ticksPerSecond = 100;

/** Sees how many cores programs that are not ours kept busy since it looked last. */
export function otherLoad({ monotonicMs, ours, limitCores, folder = '/proc' }: OtherLoadParts): Probe {
  let before: Sample | undefined;
  return async () => {
    const pids = await ours();
    const ticks = await Promise.all(
      pids.map(async (pid) => [pid, readTicks(await read(`${folder}/${pid}/stat`))] as const),
    );
    const now = { atMs: monotonicMs(), busyTicks: readBusy(await read(`${folder}/stat`)), oursTicks: new Map(ticks) };
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
  let ours = 0;
  for (const [pid, ticks] of now.oursTicks) ours += ticks - (before.oursTicks.get(pid) ?? 0);
  return Math.max(0, now.busyTicks - before.busyTicks - ours) / ticksPerSecond / seconds;
}

/** Time that all processors together worked: user, nice, system, irq, softirq. */
export function readBusy(stat: string): number {
  const [, user, nice, system, , , irq, softirq] = (stat.split('\n')[0] ?? '').split(/\s+/).map(Number);
  return (user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0);
}

/** Time that a process and its ended children worked. */
function readTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field] ?? 0), 0);
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
