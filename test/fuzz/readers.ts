import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FuzzOrder } from './worker.ts';

/** What a run of the fuzzer came to. */
export interface FuzzResult {
  readonly inputs: number;
  readonly blocks: number;
  readonly memoryMaxBytes: number;
  readonly findings: readonly string[];
  /** Sentences about the run, for people. */
  readonly notes: readonly string[];
}

/** Longest that one input may take, in milliseconds. */
export const inputMaxMs = 1_000;
/** Most memory of a process that is fuzzed, in bytes. */
export const memoryMaxBytes = 300 * 2 ** 20;
const lookEveryMs = 100;
/** Restarts after a hang; each costs what the thread had learnt. */
const hangsMax = 20;

/** Fuzzes the readers in a thread of their own, which is watched from here: a loop without end is a finding, too. */
export async function fuzzReaders(options: {
  readonly program: string;
  readonly repository: string;
  readonly findings: string;
  readonly seed: number;
  readonly forMs: number;
}): Promise<FuzzResult> {
  const findings: string[] = [];
  const untilMs = Date.now() + options.forMs;
  let [inputs, blocks, memory] = [0, 0, 0];
  for (let round = 0; round < hangsMax && Date.now() < untilMs; round++) {
    const counters = new SharedArrayBuffer(16);
    const current = new SharedArrayBuffer(32 * 2 ** 10);
    const order: FuzzOrder = { ...options, seed: options.seed + round, untilMs, counters, current };
    const { stuck, memoryBytes } = await watch(options.program, order, findings);
    const seen = new Int32Array(counters);
    inputs += seen[0] ?? 0;
    blocks = Math.max(blocks, seen[3] ?? 0);
    memory = Math.max(memory, memoryBytes);
    if (!stuck) break;
    mkdirSync(options.findings, { recursive: true });
    const file = join(options.findings, `hang-${seen[1]}-${round}.bin`);
    writeFileSync(file, new Uint8Array(current).slice(0, seen[2]));
    findings.push(`target ${seen[1]}: an input took over ${inputMaxMs} ms\n    input: ${file}`);
  }
  if (memory > memoryMaxBytes) findings.push(`readers: ${memory} bytes of memory (at most ${memoryMaxBytes})`);
  return { inputs, blocks, memoryMaxBytes: memory, findings, notes: [] };
}

function watch(
  program: string,
  order: FuzzOrder,
  findings: string[],
): Promise<{ stuck: boolean; memoryBytes: number }> {
  return new Promise((resolve) => {
    const worker = new Worker(program, { workerData: order });
    const counters = new Int32Array(order.counters);
    let [last, sinceMs, memoryBytes, stuck] = [0, Date.now() + 10_000, 0, false];
    const timer = setInterval(() => {
      memoryBytes = Math.max(memoryBytes, process.memoryUsage.rss());
      const begun = Atomics.load(counters, 0);
      if (begun !== last) [last, sinceMs] = [begun, Date.now()];
      else if (Date.now() - sinceMs > inputMaxMs) {
        stuck = true;
        void worker.terminate();
      }
    }, lookEveryMs);
    worker.on('message', (finding: string) => findings.push(finding));
    worker.on('error', (error) => findings.push(`the readers' thread ended: ${error.stack}`));
    worker.on('exit', () => {
      clearInterval(timer);
      resolve({ stuck, memoryBytes });
    });
  });
}
