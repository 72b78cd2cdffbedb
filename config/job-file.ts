import { basename, dirname, resolve } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { nameProblem } from '../base/names.ts';
import type { ContentHash } from '../base/transfer/hash.ts';
import { checkLayout } from './batch/check-layout.ts';
import { checkNames } from './batch/check-names.ts';
import { distributeFile, isDistribute } from './batch/distribute-file.ts';
import type { Draft } from './batch/draft.ts';
import { findSources, type HashProgress } from './batch/find-sources.ts';
import { labrunFile } from './batch/labrun-file.ts';
import { resolveDistribute } from './batch/resolve-distribute.ts';
import { resolveLabrun } from './batch/resolve-labrun.ts';
import type { Where } from './batch/resolve-matrix.ts';
import { check } from './reading/check.ts';
import { didYouMean } from './reading/nearest.ts';
import { ConfigError, type Path } from './reading/problems.ts';
import { readUpTo } from './reading/read-up-to.ts';
import { Written, writtenMaxBytes } from './reading/written.ts';
import { type BatchSpec, jobsMax, specMaxBytes } from './spec.ts';
import { writeSpec } from './spec-file.ts';
import { fitForName } from './template.ts';

/** A job file with nothing left to look up. */
export interface ResolvedJobFile {
  readonly spec: BatchSpec;
  /** The spec as it is uploaded. */
  readonly specBytes: Uint8Array;
  /** The job file as it was written. */
  readonly sourceBytes: Uint8Array;
  /** Where each content lies on this machine, and what it looked like when it was hashed. */
  readonly files: ReadonlyMap<
    ContentHash,
    { readonly path: string; readonly sizeBytes: number; readonly mtimeMs: number }
  >;
}

export interface ResolveOptions {
  /** Whose namespace it is unless the file says. */
  readonly user: string;
  /** Takes the place of the batch's name. */
  readonly name?: string | undefined;
  /** Only jobs whose parameters agree with all of these. */
  readonly where?: Where | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onHashed?: ((progress: HashProgress) => void) | undefined;
}

/**
 * Reads a `labrun.yaml` or `distribute-jobs.yaml` (or the same as JSON), expands it and hashes every file it names.
 * Rejects with one `ConfigError` that lists everything that is wrong, or with the signal's reason.
 */
export async function resolveJobFile(path: string, options: ResolveOptions): Promise<ResolvedJobFile> {
  const sourceBytes = await readSource(path);
  const written = new Written(path, sourceBytes.toString('utf8'), isText);
  const folder = dirname(resolve(path));
  const draft = readDraft(written, folder, options);
  const found = draft && (await findSources(written, draft, folder, options));
  if (draft !== undefined && found !== undefined) checkLayout(written, draft, found.sources);
  if (written.problems.length > 0 || draft === undefined || found === undefined)
    throw new ConfigError(written.problems);
  const spec: BatchSpec = { ...draft.spec, sources: found.sources, groups: draft.groups.map(({ group }) => group) };
  const specBytes = writeSpec(spec);
  if (specBytes.length > specMaxBytes) {
    written.problem([], `makes a batch of ${specBytes.length} bytes (at most ${specMaxBytes}); split it`);
    throw new ConfigError(written.problems);
  }
  return { spec, specBytes, sourceBytes, files: found.files };
}

function readDraft(written: Written, folder: string, options: ResolveOptions): Draft | undefined {
  if (written.problems.length > 0) return undefined;
  const where = options.where ?? [];
  const draft = isDistribute(written.tree)
    ? readDistribute(written, where)
    : readLabrun(written, folder, where, options.user);
  if (draft === undefined) return undefined;
  const named = options.name === undefined ? draft : { ...draft, spec: { ...draft.spec, name: options.name } };
  checkBatch(written, named, where, options);
  checkNames(written, named.groups);
  return named.groups.length === 0 ? undefined : named;
}

/** Keys whose mistakes say nothing about the rest of the file. */
const droppable = new Set(
  'namespace maxRunning maxFailures env needs archive expect timeLimit retries slurm required_mounts $schema'.split(
    ' ',
  ),
);

function readLabrun(written: Written, folder: string, where: Where, user: string): Draft | undefined {
  const file = check(written, labrunFile, droppable);
  return file && resolveLabrun(written, file, folder, where, fitForName(user));
}

function readDistribute(written: Written, where: Where): Draft | undefined {
  const file = check(written, distributeFile, droppable);
  const draft = file && resolveDistribute(written, file);
  return draft && where.length > 0 ? { ...draft, groups: [] } : draft;
}

function checkBatch(written: Written, { spec, groups }: Draft, where: Where, options: ResolveOptions): void {
  const labrun = spec.origin === 'labrun';
  const nameAt: Path = labrun ? ['name'] : ['meta', 'batch_name'];
  const badName = nameProblem(spec.name);
  const badNamespace = nameProblem(spec.namespace);
  const given = options.name === undefined ? '' : '--name: ';
  if (badName !== undefined) written.problem(nameAt, `${given}the batch name "${spec.name}" ${badName}`);
  if (badNamespace !== undefined) {
    written.problem(
      labrun ? ['namespace'] : ['meta', 'namespace'],
      `the namespace "${spec.namespace}" ${badNamespace}`,
    );
  }
  const jobs = groups.reduce((sum, { group }) => sum + group.count, 0);
  if (jobs > jobsMax) written.problem([], `makes ${jobs} jobs (at most ${jobsMax})`);
  if (jobs === 0 && where.length > 0 && written.problems.length === 0) {
    const asked = where.map(({ axis, value }) => `${axis}=${value}`).join(' ');
    written.problem([], `makes no jobs: no row has ${asked}${whereHint(written.tree, where)}`);
  }
}

/** `--where` may name an axis that is spelled otherwise in the file. */
function whereHint(tree: unknown, where: Where): string {
  const text = JSON.stringify(tree) ?? '';
  const keys = new Set([...text.matchAll(/"([A-Za-z0-9_.-]+)":/g)].map(([, key]) => key ?? ''));
  const unknown = where.find(({ axis }) => !keys.has(axis));
  return unknown === undefined ? '' : didYouMean(unknown.axis, keys);
}

async function readSource(path: string): Promise<Buffer> {
  try {
    return await readUpTo(path, writtenMaxBytes);
  } catch (error) {
    const message = `Cannot read the job file "${basename(path)}": ${messageOf(error)}`;
    throw new ConfigError([{ file: path, line: 1, column: 1, path: '', message }]);
  }
}

/** Axis values and variables are text as written: `1e-5`, `0.10` and `012` survive. */
function isText(path: Path): boolean {
  const inner = path[0] === 'jobs' || path[0] === 'job' ? path.slice(path[0] === 'jobs' ? 2 : 1) : path;
  return inner[0] === 'matrix' || inner[0] === 'env';
}
