import { hashBytes } from '../base/transfer/hash.ts';
import { locateJob } from './matrix.ts';
import type { BatchSpec, Input, JobGroup, SourceEntry } from './spec.ts';
import { renderText } from './template.ts';

/**
 * The part of a build's key that does not depend on the machine: namespace, command, files' names, modes and hashes,
 * environment. Empty without a build.
 */
export function buildDigest(spec: BatchSpec): string {
  if (spec.build === undefined) return '';
  const made = builds.get(spec);
  if (made !== undefined) return made;
  const inputs = [...spec.build.inputs, ...spec.initialInputs, ...scriptsOf(spec.build.runtime)];
  const digest = hashBytes(
    JSON.stringify([
      spec.namespace,
      spec.build.runtime,
      spec.build.needs,
      spec.env,
      inputs.map((input) => [input, spec.sources[input.source]]),
    ]),
  );
  builds.set(spec, digest);
  return digest;
}

/** Everything that makes a job's result: two jobs of one name and digest need not run twice. */
export function jobDigest(spec: BatchSpec, specIndex: number): string {
  const { group, params } = locateJob(spec, specIndex);
  const parts = partsOf(spec, group);
  const files = parts.varying.map((input) => [
    renderText(input.as, params),
    spec.sources[renderText(input.source, params)],
  ]);
  return hashBytes(JSON.stringify([parts.fixed, params, files]));
}

interface GroupParts {
  /** The hash of what no row changes. */
  readonly fixed: string;
  /** Inputs whose place or source depends on the row. */
  readonly varying: readonly Input[];
}

const builds = new WeakMap<BatchSpec, string>();
const known = new WeakMap<JobGroup, GroupParts>();

function partsOf(spec: BatchSpec, group: JobGroup): GroupParts {
  const found = known.get(group);
  if (found) return found;
  // What a job is called, and how long and how often it may try, does not change what comes of it.
  const { name: _1, matrix: _2, count: _3, retries: _4, timeLimitMs: _5, ...rest } = group;
  const inputs = [...spec.initialInputs, ...group.inputs, ...scriptsOf(group.runtime)];
  const depends = (input: Input) => input.source.includes('{{') || input.as.includes('{{');
  const still = inputs
    .filter((input) => !depends(input))
    .map((input): [Input, readonly SourceEntry[] | undefined] => [input, spec.sources[input.source]]);
  const parts = {
    fixed: hashBytes(JSON.stringify([buildDigest(spec), spec.env, rest, still])),
    varying: inputs.filter(depends),
  };
  known.set(group, parts);
  return parts;
}

function scriptsOf(runtime: JobGroup['runtime'] | NonNullable<BatchSpec['build']>['runtime']): readonly Input[] {
  if (runtime.kind === 'python') return [runtime.script];
  return runtime.kind === 'apptainer' ? [runtime.image] : [];
}
