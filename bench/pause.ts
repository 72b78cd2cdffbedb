import { cpus } from 'node:os';
import { call } from '../base/channel/client.ts';
import { delay, systemClock } from '../base/clock.ts';
import { withDesk } from '../cli/desk-connect.ts';
import { memoryKb } from '../test/kit/proc.ts';
import type { User } from '../test/kit/processes.ts';
import { Cluster } from './cluster.ts';
import { Counting } from './counting.ts';
import { readOptions } from './options.ts';
import { median, printTable, verdict } from './table.ts';

/** Most milliseconds from a pause to all 1,000 processes of a job stopped. */
const limitsMs: Readonly<Record<string, number>> = { 'cgroup-v2': 100, 'cgroup-v1': 100, stop: 300 };
const countersMax = 50;

/**
 * From a call on the desk socket of a real agent to its answer that everything has stopped, which it has written to its
 * disk; and to the last that any process did. As this user, and where that is root as an ordinary one, too.
 */
export async function benchPause(options: readonly string[]): Promise<boolean> {
  const { rounds, processes } = readOptions(options, { rounds: 5, processes: 1000 });
  const sizes = [...new Set([1, Math.ceil(processes / 10), processes])];
  console.log(`pausing a machine, median (and longest) of ${rounds} rounds, ${cpus().length} cores\n`);
  const rows: string[][] = [];
  let kept = true;
  for (const user of process.getuid?.() === 0 ? [undefined, { uid: 65_534, gid: 65_534 }] : [undefined]) {
    for (const size of sizes) {
      const { freezing, agentMb, readings } = await readingsOf(user, size, rounds);
      const answers = readings.map(({ answerMs }) => answerMs);
      const limitMs = size === processes ? limitsMs[freezing] : undefined;
      if (limitMs !== undefined) kept &&= median(answers) <= limitMs;
      rows.push([
        freezing,
        String(size),
        `${median(answers).toFixed(1)} ms`,
        `${Math.max(...answers).toFixed(1)} ms`,
        `${median(readings.map(({ lastMs }) => lastMs)).toFixed(0)} ms`,
        `${median(readings.map(({ resumeMs }) => resumeMs)).toFixed(1)} ms`,
        `${agentMb.toFixed(0)} MB`,
        limitMs === undefined ? '' : `${limitMs} ms ${verdict(median(answers), limitMs)}`,
      ]);
    }
  }
  printTable(['stopped by', 'processes', 'answer', 'longest', 'last count', 'resume', 'agent', 'limit'], rows);
  return kept;
}

interface Reading {
  readonly answerMs: number;
  /** To the last that a process wrote; they write every 10 ms, so a little less than 0 is nothing special. */
  readonly lastMs: number;
  readonly resumeMs: number;
}

async function readingsOf(user: User | undefined, size: number, rounds: number) {
  const cluster = new Cluster(user);
  try {
    await cluster.startHead();
    const agent = await cluster.startAgent('n1', 1);
    const counting = new Counting(cluster, Math.min(countersMax, size));
    await counting.start(size);
    const readings: Reading[] = [];
    for (let round = 0; round < rounds; round++) readings.push(await readingOf(cluster, counting));
    const { freezing } = await counting.state();
    const agentMb = memoryKb(agent.pid, 'VmRSS') / 1024;
    await counting.cancel();
    return { freezing, agentMb, readings };
  } finally {
    await cluster.close();
  }
}

function readingOf(cluster: Cluster, counting: Counting): Promise<Reading> {
  return withDesk({ data: cluster.agentFolder('n1') }, async ({ client, prove }) => {
    // The line is there, and the agent knows this account's name.
    await call(client, client.getPolicy, {}, { metadata: prove() });
    await counting.counts();
    const metadata = prove();
    const [beganMs, wallMs] = [performance.now(), Date.now()];
    const state = await call(client, client.pause, { reason: '', until: '' }, { metadata, deadlineMs: 60_000 });
    const answerMs = performance.now() - beganMs;
    if (state.step !== 'pause') throw new Error(`The machine was not paused: ${state.step}`);
    const lastMs = counting.lastCountMs();
    await delay(systemClock, 300);
    if (counting.lastCountMs() !== lastMs)
      throw new Error('Something ran after the agent had said that all had stopped');
    const resumedMs = performance.now();
    await call(client, client.resume, { all: false }, { metadata: prove(), deadlineMs: 60_000 });
    return { answerMs, lastMs: lastMs - wallMs, resumeMs: performance.now() - resumedMs };
  });
}
