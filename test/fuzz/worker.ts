import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import fc from 'fast-check';
import { Chance } from './chance.ts';
import { Coverage } from './coverage.ts';
import { mutate } from './mutate.ts';
import { isExpected, type Target, targets } from './targets.ts';

/** What the thread that runs inputs is given. `current` names the target and holds the input that is being read. */
export interface FuzzOrder {
  readonly repository: string;
  readonly findings: string;
  readonly seed: number;
  readonly untilMs: number;
  /** [inputs begun, target's number, the input's length, blocks reached] */
  readonly counters: SharedArrayBuffer;
  readonly current: SharedArrayBuffer;
}

/** Inputs run between two looks at the coverage. */
const groupSize = 16;
/** Inputs kept per target. */
const corpusMax = 400;

/** Runs inputs until the time is over, in turn over all targets, and posts each finding. */
export async function runWorker(): Promise<void> {
  const order = workerData as FuzzOrder; // main.ts makes nothing else
  const scratch = mkdtempSync(join(tmpdir(), 'fuzz-'));
  mkdirSync(order.findings, { recursive: true });
  try {
    await new Fuzzing(order, targets(order.repository, scratch)).run();
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

class Fuzzing {
  readonly #order: FuzzOrder;
  readonly #targets: readonly Target[];
  readonly #coverage = new Coverage();
  readonly #chance: Chance;
  readonly #counters: Int32Array;
  readonly #current: Uint8Array;
  readonly #corpora: Uint8Array[][];
  readonly #told = new Set<string>();

  constructor(order: FuzzOrder, all: readonly Target[]) {
    this.#order = order;
    this.#targets = all;
    this.#chance = new Chance(order.seed);
    this.#counters = new Int32Array(order.counters);
    this.#current = new Uint8Array(order.current);
    this.#corpora = all.map(({ seeds }) => [...seeds]);
  }

  async run(): Promise<void> {
    this.#coverage.start();
    for (const [at, { seeds }] of this.#targets.entries()) for (const seed of seeds) await this.#one(at, seed);
    this.#look();
    for (let round = 0; Date.now() < this.#order.untilMs; round++) {
      for (const at of this.#targets.keys()) await this.#group(at, round);
    }
  }

  async #group(at: number, round: number): Promise<void> {
    const corpus = this.#corpora[at] ?? [];
    const target = this.#targets[at];
    if (!target) return;
    const inputs =
      round % 4 === 3
        ? fc.sample(target.shaped, { numRuns: groupSize, seed: this.#chance.below(2 ** 31) })
        : Array.from({ length: groupSize }, () => mutate(this.#chance.pick(corpus), corpus, this.#chance));
    for (const input of inputs) await this.#one(at, input);
    // A look costs as much as many inputs, so a group is looked at as a whole, and kept as a whole.
    if (this.#look() > 0) corpus.push(...inputs);
    while (corpus.length > corpusMax) corpus.splice(this.#chance.below(corpus.length), 1);
  }

  async #one(at: number, input: Uint8Array): Promise<void> {
    const target = this.#targets[at];
    if (!target) return;
    this.#current.set(input.subarray(0, this.#current.length));
    Atomics.store(this.#counters, 1, at);
    Atomics.store(this.#counters, 2, Math.min(input.length, this.#current.length));
    Atomics.add(this.#counters, 0, 1);
    try {
      await target.run(input);
    } catch (error) {
      if (!isExpected(error)) this.#tell(target.name, input, error);
    }
  }

  #look(): number {
    const fresh = this.#coverage.take();
    Atomics.store(this.#counters, 3, this.#coverage.blocks);
    return fresh;
  }

  #tell(name: string, input: Uint8Array, error: unknown): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const key = `${name}: ${what.split('\n').slice(0, 3).join(' ').slice(0, 300)}`;
    const kind = `${name}: ${what.split('\n')[1] ?? what}`;
    if (this.#told.has(kind)) return;
    this.#told.add(kind);
    const file = join(this.#order.findings, `${name}-${this.#counters[0]}.bin`);
    writeFileSync(file, input);
    parentPort?.postMessage(`${key}\n    input: ${file}`);
  }
}
