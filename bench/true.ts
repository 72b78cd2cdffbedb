import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { Cluster } from './cluster.ts';
import { readOptions } from './options.ts';
import { median, printTable, verdict } from './table.ts';

/** What must hold today, and what the design asks for in the end, as multiples of xargs' time. */
const limits = { issue: 4, design: 2, aim: 1.5 };

/**
 * Many jobs that do nothing, on one agent with two slots, submit to last archive, between two runs of `xargs -P2 -n1`,
 * whose mean is the measure: a machine's speed drifts. The head writes every event to disk before it counts, as always.
 */
export async function benchTrue(options: readonly string[]): Promise<boolean> {
  const { jobs, rounds } = readOptions(options, { jobs: 10_000, rounds: 2 });
  console.log(`${jobs} × /bin/true, two at a time, ${rounds} rounds in turn, ${cpus().length} cores\n`);
  const cluster = new Cluster();
  try {
    await cluster.startHead();
    await cluster.startAgent('n1', 2);
    const readings: Reading[] = [];
    let beforeS = await timeXargs(jobs);
    for (let round = 1; round <= rounds; round++) {
      const labrun = await timeLabrun(cluster, `round-${round}`, jobs);
      const afterS = await timeXargs(jobs);
      readings.push({ xargsS: (beforeS + afterS) / 2, ...labrun });
      beforeS = afterS;
    }
    return report(jobs, readings);
  } finally {
    await cluster.close();
  }
}

interface Reading {
  readonly xargsS: number;
  readonly labrunS: number;
  /** Nothing when all was over too soon to tell. */
  readonly steadiness: number | undefined;
}

function report(jobs: number, readings: readonly Reading[]): boolean {
  const ratio = median(readings.map(({ xargsS, labrunS }) => labrunS / xargsS));
  printTable(
    ['round', 'xargs', 'labrun', 'jobs/s', 'ratio', 'last tenth ÷ first'],
    readings.map(({ xargsS, labrunS, steadiness }, at) => [
      String(at + 1),
      `${xargsS.toFixed(2)} s`,
      `${labrunS.toFixed(2)} s`,
      (jobs / labrunS).toFixed(0),
      `${(labrunS / xargsS).toFixed(2)}×`,
      steadiness?.toFixed(2) ?? 'too short',
    ]),
  );
  printTable(
    ['limit', 'at most', 'measured', ''],
    Object.entries(limits).map(([name, most]) => [name, `${most}×`, `${ratio.toFixed(2)}×`, verdict(ratio, most)]),
  );
  return ratio <= limits.issue;
}

async function timeLabrun(cluster: Cluster, name: string, jobs: number) {
  const rows = Array.from({ length: jobs }, (_, at) => at).join('\n');
  const file = cluster.write(name, {
    'rows.csv': `i\n${rows}\n`,
    'labrun.yaml': [
      `name: ${name}`,
      'namespace: bench',
      'matrix: {from: rows.csv}',
      'job: {name: j, needs: {cpus: 1}, run: [/bin/true]}',
      '',
    ].join('\n'),
  });
  const beganMs = performance.now();
  await cluster.labrun('submit', file, '--wait');
  const labrunS = (performance.now() - beganMs) / 1000;
  const status: Status = JSON.parse(await cluster.labrun('status', `bench/${name}`, '--json'));
  if (status.counts['succeeded'] !== jobs) throw new Error(`Not all jobs succeeded: ${JSON.stringify(status.counts)}`);
  return { labrunS, steadiness: steadiness(status.jobs.map((job) => Date.parse(job.finishedAt))) };
}

interface Status {
  readonly counts: Readonly<Record<string, number>>;
  readonly jobs: readonly { readonly finishedAt: string }[];
}

/** Ends are told in whole seconds; a tenth that takes less than this cannot be measured by them. */
const tenthMinMs = 10_000;

/** The rate of the last tenth over that of the first. */
function steadiness(endsMs: readonly number[]): number | undefined {
  const ends = [...endsMs].sort((a, b) => a - b);
  const tenth = Math.max(1, Math.floor(ends.length / 10));
  const span = (from: number, to: number) => Math.max(1, (ends[to] ?? 0) - (ends[from] ?? 0));
  const first = span(0, tenth);
  return first < tenthMinMs ? undefined : first / span(ends.length - 1 - tenth, ends.length - 1);
}

async function timeXargs(jobs: number): Promise<number> {
  const beganMs = performance.now();
  const xargs = spawn('xargs', ['-P2', '-n1', '/bin/true'], { stdio: ['pipe', 'inherit', 'inherit'] });
  xargs.stdin.end(Array.from({ length: jobs }, (_, at) => at).join('\n'));
  const code = await new Promise((resolve, reject) => xargs.once('close', resolve).once('error', reject));
  if (code !== 0) throw new Error(`xargs ended with ${code}`);
  return (performance.now() - beganMs) / 1000;
}
