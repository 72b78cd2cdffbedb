import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type fc from 'fast-check';
import { Fault, RefusedError } from '../../base/errors.ts';
import { ConfigError } from '../../config/reading/problems.ts';
import { configTargets } from './config-targets.ts';
import { nameTargets } from './name-targets.ts';

/** One thing that reads what strangers write. */
export interface Target {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  /** Inputs of about the right form; what they break, mutation alone would take long to reach. */
  readonly shaped: fc.Arbitrary<Uint8Array>;
  /** Reads the input. Throws for a broken promise; refusals are kept by `expected`. */
  readonly run: (input: Uint8Array) => Promise<void> | void;
}

/** Everything that is fuzzed in this process; `scratch` is a folder that may be written. */
export function targets(repository: string, scratch: string): readonly Target[] {
  return [...configTargets(repository, scratch), ...nameTargets()].map((target) => ({
    ...target,
    seeds: [...target.seeds, ...corpus(repository, target.name)],
  }));
}

/** Whether an error is one of the documented answers. */
export function isExpected(error: unknown): boolean {
  return error instanceof ConfigError || error instanceof RefusedError || error instanceof Fault;
}

/** Inputs that once reached something new, kept for the next run: `test/fuzz/corpus/<target>-….txt`. */
function corpus(repository: string, name: string): Uint8Array[] {
  const folder = join(repository, 'test/fuzz/corpus');
  const own = readdirSync(folder).filter((file) => file.startsWith(`${name}-`));
  return own.sort().map((file) => readFileSync(join(folder, file)));
}
