import { delay, systemClock } from '../base/clock.ts';
import { memoryKb } from '../test/kit/proc.ts';
import { Cluster } from './cluster.ts';
import { readOptions } from './options.ts';
import { median, printTable, verdict } from './table.ts';

/** Per 100,000 jobs: what must hold today, and what the design asks for in the end. */
const limits = {
  issue: { submitS: 2, memoryMb: 40, restartS: 3 },
  design: { submitS: 1, memoryMb: 30, restartS: 3 },
  aim: { submitS: 0.4, memoryMb: 10, restartS: 1 },
};
/** How long the head is left alone before its memory is read, so that what it no longer needs can be collected. */
const settleMs = 5_000;

type Figures = (typeof limits)['issue'];

/**
 * A large matrix that waits, no agent there: how long its submit takes (from the start of the CLI to its end), by how
 * much the head grows, and how long after kill -9 it serves again.
 */
export async function benchMatrix(options: readonly string[]): Promise<boolean> {
  const { jobs, rounds } = readOptions(options, { jobs: 100_000, rounds: 3 });
  console.log(`A matrix of ${jobs} jobs, ${rounds} rounds, each with a new head\n`);
  const readings: Figures[] = [];
  for (let round = 1; round <= rounds; round++) readings.push(await measure(jobs));
  return report(readings);
}

async function measure(jobs: number): Promise<Figures> {
  const cluster = new Cluster();
  try {
    await cluster.startHead();
    await cluster.labrun('submit', writeMatrix(cluster, 'small', 10)); // code and buffers that any first submit needs
    await delay(systemClock, settleMs);
    const beforeKb = memoryKb(cluster.headPid, 'VmRSS');
    const file = writeMatrix(cluster, 'large', jobs);
    const submitS = await seconds(() => cluster.labrun('submit', file));
    await delay(systemClock, settleMs);
    const memoryMb = (memoryKb(cluster.headPid, 'VmRSS') - beforeKb) / 1024;
    await cluster.killHead();
    const restartS = await seconds(() => cluster.restartHead());
    const status: { counts: Record<string, number> } = JSON.parse(
      await cluster.labrun('status', 'bench/large', '--state', 'running', '--json'),
    );
    if (status.counts['queued'] !== jobs) throw new Error(`Jobs are missing: ${JSON.stringify(status.counts)}`);
    return { submitS, memoryMb, restartS };
  } finally {
    await cluster.close();
  }
}

function report(readings: readonly Figures[]): boolean {
  printTable(
    ['round', 'submit', 'growth of the head', 'kill -9 to serving'],
    readings.map(({ submitS, memoryMb, restartS }, at) => [
      String(at + 1),
      `${submitS.toFixed(2)} s`,
      `${memoryMb.toFixed(1)} MB`,
      `${restartS.toFixed(2)} s`,
    ]),
  );
  const middle = (figure: keyof Figures) => median(readings.map((reading) => reading[figure]));
  const units: Record<keyof Figures, string> = { submitS: 's', memoryMb: 'MB', restartS: 's' };
  const names: Record<keyof Figures, string> = { submitS: 'submit', memoryMb: 'memory', restartS: 'restart' };
  const figures = ['submitS', 'memoryMb', 'restartS'] as const;
  printTable(
    ['limit', 'of', 'at most', 'measured', 'ratio', ''],
    Object.entries(limits).flatMap(([limit, most]) =>
      figures.map((figure) => [
        limit,
        names[figure],
        `${most[figure]} ${units[figure]}`,
        `${middle(figure).toFixed(2)} ${units[figure]}`,
        `${(middle(figure) / most[figure]).toFixed(2)}×`,
        verdict(middle(figure), most[figure]),
      ]),
    ),
  );
  return figures.every((figure) => middle(figure) <= limits.issue[figure]);
}

/** Two axes whose product has as many jobs as asked for; no node offers what they need. */
function writeMatrix(cluster: Cluster, name: string, jobs: number): string {
  const inner = Math.min(jobs, 1_000);
  const axis = (count: number) => Array.from({ length: count }, (_, at) => at).join(', ');
  return cluster.write(name, {
    'labrun.yaml': [
      `name: ${name}`,
      'namespace: bench',
      'jobs:',
      '  - name: j',
      `    matrix: {outer: [${axis(Math.ceil(jobs / inner))}], inner: [${axis(inner)}]}`,
      '    needs: {cpus: 1}',
      '    run: echo {{outer}} {{inner}}',
      '',
    ].join('\n'),
  });
}

async function seconds(task: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await task();
  return (performance.now() - beganMs) / 1000;
}
