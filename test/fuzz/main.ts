import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { fuzzReaders } from './readers.ts';
import { runWorker } from './worker.ts';

/**
 * `npm run fuzz -- --minutes M [--seed N]`: throws what strangers may write at everything that reads it.
 * Findings end in exit status 1, their inputs lie in .build/fuzz. The same seed tries the same inputs.
 */
async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { minutes: text, seed: text } });
  const minutes = Number(values.minutes ?? 1);
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error('usage: npm run fuzz -- --minutes M [--seed N]');
  const program = fileURLToPath(import.meta.url);
  const repository = dirname(dirname(program));
  const findings = join(repository, '.build/fuzz');
  const result = await fuzzReaders({ program, repository, findings, seed, forMs: minutes * 60_000 });
  const megabytes = Math.round(result.memoryMaxBytes / 2 ** 20);
  for (const finding of result.findings) print(finding);
  print(
    `${result.inputs} inputs run, ${result.blocks} blocks reached, ${megabytes} MiB at most, ${result.findings.length} findings`,
  );
  print(`seed ${seed}`);
  process.exitCode = result.findings.length > 0 ? 1 : 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await (isMainThread ? main() : runWorker());
