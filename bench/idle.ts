import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { delay, systemClock } from '../base/clock.ts';
import { memoryKb } from '../test/kit/proc.ts';
import { Cluster } from './cluster.ts';
import { readOptions } from './options.ts';
import { printTable, verdict } from './table.ts';

const limitMb = 80;
const limitPercent = 1;
/** Starting costs once. */
const settleMs = 30_000;
/** Linux counts processor time in hundredths of a second, whatever its own tick is. */
const tickMs = 10;

/** Memory and processor time of agents that have nothing to do: one that watches who is at the desk, one that does not. */
export async function benchIdle(options: readonly string[]): Promise<boolean> {
  const { seconds } = readOptions(options, { seconds: 300 });
  console.log(`agents that have nothing to do, over ${seconds} s, ${cpus().length} cores\n`);
  const cluster = new Cluster();
  try {
    await cluster.startHead();
    const agents = [
      { name: 'watching', agent: await cluster.startAgent('watching', 1, { watched: true }) },
      { name: 'dedicated', agent: await cluster.startAgent('dedicated', 1) },
    ];
    await delay(systemClock, settleMs);
    const before = agents.map(({ agent }) => busyMs(agent.pid));
    await delay(systemClock, seconds * 1000);
    let kept = true;
    const rows = agents.map(({ name, agent }, at) => {
      const percent = (busyMs(agent.pid) - (before[at] ?? 0)) / (seconds * 10);
      const memoryMb = memoryKb(agent.pid, 'VmRSS') / 1024;
      kept &&= percent <= limitPercent && memoryMb <= limitMb;
      return [
        name,
        `${memoryMb.toFixed(1)} MB`,
        `${limitMb} MB ${verdict(memoryMb, limitMb)}`,
        `${percent.toFixed(3)} %`,
        `${limitPercent} % ${verdict(percent, limitPercent)}`,
      ];
    });
    printTable(['agent', 'memory', 'limit', 'of a core', 'limit'], rows);
    return kept;
  } finally {
    await cluster.close();
  }
}

/** Processor time of a process and of those of its children that have ended. */
function busyMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * tickMs, 0);
}
