import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { arch, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { delay, systemClock } from '../base/clock.ts';
import { openExecutor } from '../node-agent/executor/executor.ts';
import type { TrackingName } from '../node-agent/executor/identity.ts';
import type { Executor, FreezingName } from '../node-agent/ports.ts';
import { readOptions } from './options.ts';
import { median, printTable, verdict } from './table.ts';

/** Every way of stopping, by the tracking that goes with it, and what it may take for 1,000 processes. */
const ways: readonly { tracking: TrackingName; freezing: FreezingName; limitMs: number }[] = [
  { tracking: 'cgroup-v2', freezing: 'cgroup-v2', limitMs: 100 },
  { tracking: 'cgroup-v1', freezing: 'cgroup-v1', limitMs: 100 },
  { tracking: 'subreaper', freezing: 'stop', limitMs: 300 },
  { tracking: 'session', freezing: 'stop', limitMs: 300 },
];

/** What the processes of a tree do, once the gate is open: each of those that are busy wants a core of its own. */
const kinds = { sleeping: 'exec sleep 600', busy: ': <gate; while :; do :; done' };
const startMaxMs = 60_000;

/**
 * From the call that freezes a tree to the word that nothing of it runs, for trees of one shell and its children. How long
 * the agent can do nothing else meanwhile is measured, too.
 */
export async function benchFreeze(options: readonly string[]): Promise<boolean> {
  const { rounds, processes } = readOptions(options, { rounds: 5, processes: 1000 });
  const sizes = [...new Set([1, Math.ceil(processes / 10), processes])];
  console.log(`freezing a tree, median (and longest) of ${rounds} rounds, ${cpus().length} cores\n`);
  const rows: string[][] = [];
  let kept = true;
  for (const way of ways) {
    for (const kind of ['sleeping', 'busy'] as const) {
      for (const size of sizes) {
        const readings = await readingsOf(way, kind, size, rounds);
        if (readings === undefined) continue;
        const tookMs = median(readings.map((reading) => reading.tookMs));
        const isLimited = size === processes;
        if (isLimited) kept &&= tookMs <= way.limitMs;
        rows.push([
          `${way.freezing} (${way.tracking})`,
          kind,
          String(size),
          `${tookMs.toFixed(1)} ms`,
          `${Math.max(...readings.map((reading) => reading.tookMs)).toFixed(1)} ms`,
          `${median(readings.map(({ blockedMs }) => blockedMs)).toFixed(0)} ms`,
          `${median(readings.map(({ thawMs }) => thawMs)).toFixed(1)} ms`,
          isLimited ? `${way.limitMs} ms ${verdict(tookMs, way.limitMs)}` : '',
        ]);
      }
    }
  }
  printTable(['stopped by', 'processes', 'number', 'median', 'longest', 'blocks', 'thaw', 'limit'], rows);
  return kept;
}

interface Reading {
  readonly tookMs: number;
  /** Longest time in which the event loop did nothing else. */
  readonly blockedMs: number;
  readonly thawMs: number;
}

/** Nothing where this machine has no such way. */
async function readingsOf(
  { tracking, freezing }: (typeof ways)[number],
  kind: keyof typeof kinds,
  size: number,
  rounds: number,
): Promise<readonly Reading[] | undefined> {
  const root = mkdtempSync(join(tmpdir(), 'labrun-bench-'));
  const executor = await open(root, tracking, freezing);
  if (executor === undefined) {
    rmSync(root, { recursive: true });
    return undefined;
  }
  const home = join(root, 'job');
  mkdirSync(home);
  execFileSync('mkfifo', [join(home, 'gate')]);
  let gate: number | undefined;
  try {
    const children = `i=1; while [ $i -lt ${size} ]; do (${kinds[kind]}) & i=$((i+1)); done`;
    const env = { PATH: '/usr/bin:/bin' };
    const limits = { memoryBytes: 0, processes: size + 100, diskBytes: 0, cpus: 1 };
    const argv = ['/bin/sh', '-c', `${children}; ${kinds[kind]}`];
    await executor.start({ home, id: 'job', argv, cwd: home, env, limits });
    const untilMs = performance.now() + startMaxMs;
    while ((await executor.processes(home)).length !== size) {
      if (performance.now() > untilMs) throw new Error(`Cannot start ${size} processes within ${startMaxMs} ms`);
      await delay(systemClock, 50);
    }
    gate = openSync(join(home, 'gate'), 'r+');
    const readings: Reading[] = [];
    for (let round = 0; round < rounds; round++) readings.push(await readingOf(executor, home, size));
    return readings;
  } finally {
    if (gate !== undefined) closeSync(gate);
    await executor.kill(home, 0);
    await executor.close();
    rmSync(root, { recursive: true, force: true });
  }
}

async function open(root: string, tracking: TrackingName, freezing: FreezingName): Promise<Executor | undefined> {
  const options = { folder: join(root, 'supervisors'), clock: systemClock, architecture: arch() };
  try {
    const executor = await openExecutor({ ...options, trackings: [tracking], freezings: [freezing] });
    if (executor.freezing === freezing) return executor;
    await executor.close();
    return undefined;
  } catch {
    return undefined; // this machine cannot, or this user may not
  }
}

async function readingOf(executor: Executor, home: string, size: number): Promise<Reading> {
  await delay(systemClock, 100); // all run again after the round before
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const beganMs = performance.now();
  const { processes, missed } = await executor.freeze(home);
  const tookMs = performance.now() - beganMs;
  await delay(systemClock, 5);
  loop.disable();
  if (processes !== size || missed.length > 0) throw new Error(`Froze ${processes} of ${size}, missed ${missed}`);
  const thawedMs = performance.now();
  await executor.thaw(home);
  return { tookMs, blockedMs: loop.max / 1e6, thawMs: performance.now() - thawedMs };
}
