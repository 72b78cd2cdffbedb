import { nameKey } from '../../base/names.ts';
import { buildDigest, jobDigest } from '../../config/digest.ts';
import { locateJob } from '../../config/matrix.ts';
import type { BatchSpec, JobGroup } from '../../config/spec.ts';
import type { SpecPlace } from '../specs.ts';

/** A job that stands in the queue already: where its batch describes it. */
export interface QueuedJob extends SpecPlace {
  readonly index: number;
}

/** What a new spec is beside a batch of its name. */
export interface Comparison {
  /** Of the new spec's jobs, those the batch does not have. */
  readonly added: readonly number[];
  readonly unchanged: number;
  /** The batch's index, and the new spec's. */
  readonly changed: readonly (readonly [index: number, specIndex: number])[];
  /** What is different, for people: files and keys. */
  readonly differences: readonly string[];
}

/** Jobs compared between two turns of the event loop. */
const pageMax = 2_000;
/** Changed jobs that are looked at for what has changed. */
const explainedMax = 20;

/** Compares by name and by everything that makes a job's result. Gives way to others every few thousand jobs. */
export async function compareSpecs(
  spec: BatchSpec,
  specs: readonly BatchSpec[],
  jobs: readonly QueuedJob[],
): Promise<Comparison> {
  const queued = new Map<string, QueuedJob>();
  for (const [at, job] of jobs.entries()) {
    if (at % pageMax === 0) await turn();
    const own = specs[job.part];
    if (own) queued.set(nameKey(locateJob(own, job.specIndex).name), job);
  }
  const added: number[] = [];
  const changed: [number, number][] = [];
  const differences = new Set<string>();
  let unchanged = 0;
  const total = spec.groups.reduce((sum, group) => sum + group.count, 0);
  for (let specIndex = 0; specIndex < total; specIndex++) {
    if (specIndex % pageMax === 0) await turn();
    const job = queued.get(nameKey(locateJob(spec, specIndex).name));
    const old = job && specs[job.part];
    if (!job || !old) added.push(specIndex);
    else if (jobDigest(old, job.specIndex) === jobDigest(spec, specIndex)) unchanged += 1;
    else {
      changed.push([job.index, specIndex]);
      if (changed.length > explainedMax) continue;
      for (const difference of differencesOf(old, job.specIndex, spec, specIndex)) differences.add(difference);
    }
  }
  return { added, unchanged, changed, differences: [...differences].sort() };
}

/** `10 new, 187 unchanged, 3 changed: run.sh`. */
export function comparisonText({ added, unchanged, changed, differences }: Comparison): string {
  const what = differences.length > 0 ? `: ${differences.slice(0, 10).join(', ')}` : '';
  return `${added.length} new, ${unchanged} unchanged, ${changed.length} changed${what}`;
}

function differencesOf(old: BatchSpec, oldIndex: number, spec: BatchSpec, specIndex: number): string[] {
  const before = locateJob(old, oldIndex);
  const after = locateJob(spec, specIndex);
  const keys = Object.keys(keysOf(after.group)) as (keyof ReturnType<typeof keysOf>)[]; // made from that very object
  const was = keysOf(before.group);
  const is = keysOf(after.group);
  const found = keys.filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key])).map((key) => key as string); // a key is a text
  if (JSON.stringify(before.params) !== JSON.stringify(after.params)) found.push('matrix');
  if (JSON.stringify(old.env) !== JSON.stringify(spec.env)) found.push('env');
  if (buildDigest(old) !== buildDigest(spec)) found.push('build');
  const paths = new Set([...Object.keys(old.sources), ...Object.keys(spec.sources)]);
  const files = [...paths].filter((path) => JSON.stringify(old.sources[path]) !== JSON.stringify(spec.sources[path]));
  return [...found, ...files.filter((path) => old.sources[path] !== undefined && spec.sources[path] !== undefined)];
}

/** What people write of a template, by the key they write it under. */
function keysOf(group: JobGroup) {
  const { runtime, inputs, templates, env, archive, expect, needs, timeLimitMs } = group;
  return { run: runtime, files: inputs, templates, env, archive, expect, needs, timeLimit: timeLimitMs };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
