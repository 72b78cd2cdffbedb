import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { type FuzzResult, fuzzReaders } from './readers.ts';
import { fuzzHead, replayGroup } from './wire/fuzz-head.ts';
import type { Plan } from './wire/plan.ts';
import { runWorker } from './worker.ts';

const usage = 'usage: npm run fuzz -- --minutes M [--seed N] [--only readers|head] [--replay FILE]';

/**
 * `npm run fuzz`: throws what strangers may write or send at everything that reads it, half the time at the readers and
 * half at a running head. Findings end in exit status 1, their inputs lie in .build/fuzz.
 */
async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { minutes: text, seed: text, only: text, replay: text } });
  const minutes = Number(values.minutes ?? 1);
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  const isKnown = values.only === undefined || values.only === 'readers' || values.only === 'head';
  if (!(minutes > 0) || !Number.isInteger(seed) || !isKnown) throw new Error(usage);
  const program = fileURLToPath(import.meta.url);
  const dist = dirname(program);
  const repository = dirname(dist);
  const forMs = (minutes * 60_000) / (values.only === undefined ? 2 : 1);
  const options = { program, dist, repository, findings: join(repository, '.build/fuzz'), seed, forMs };
  if (values.replay !== undefined) {
    const group = JSON.parse(readFileSync(values.replay, 'utf8')) as Plan[]; // written by the fuzzer itself
    return tell('replay', await replayGroup(options, group));
  }
  if (values.only !== 'head') tell('readers', await fuzzReaders(options));
  if (values.only !== 'readers') tell('head', await fuzzHead(options));
  print(`seed ${seed}`);
}

function tell(what: string, { inputs, blocks, memoryMaxBytes, findings, notes }: FuzzResult): void {
  for (const line of [...findings, ...notes]) print(line);
  const megabytes = Math.round(memoryMaxBytes / 2 ** 20);
  print(
    `${what}: ${inputs} inputs run, ${blocks} blocks reached, ${megabytes} MiB at most, ${findings.length} findings`,
  );
  if (findings.length > 0) process.exitCode = 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await (isMainThread ? main() : runWorker());
