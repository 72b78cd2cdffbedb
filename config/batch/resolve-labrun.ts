import { posix } from 'node:path';
import { relativePathProblem } from '../../base/names.ts';
import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import type { BuildSpec, JobGroup, Matrix, Needs, RunSpec } from '../spec.ts';
import { placeholdersIn } from '../template.ts';
import { checkPlaceholders } from './axis.ts';
import { type Draft, type DraftGroup, type DraftInput, plainInput } from './draft.ts';
import { resolveFiles } from './file-entry.ts';
import { buildTimeLimitMs, type JobEntry, type LabrunFile, type RunEntry } from './labrun-file.ts';
import { resolveMatrix, type Where } from './resolve-matrix.ts';
import { resolveNeeds, wholeNode } from './resolve-needs.ts';

/** Gives a checked `labrun.yaml` its meaning; everything that makes no sense is noted. */
export function resolveLabrun(written: Written, file: LabrunFile, folder: string, where: Where, user: string): Draft {
  const groups = entriesOf(written, file).flatMap(({ entry: stated, at, matrixAt }): DraftGroup[] => {
    const entry = { ...stated, isolation: stated.isolation ?? file.isolation };
    const group = resolveGroup(written, entry, at, matrixAt, folder, where);
    return group === undefined ? [] : [group];
  });
  checkEnv(written, file.env, ['env'], undefined);
  const buildInputs = resolveFiles(written, file.build?.files, ['build', 'files']);
  const build = resolveBuild(written, file, groups, buildInputs);
  const isStrict = [build, ...groups.map(({ group }) => group)].some((part) => part?.isolation === 'strict');
  return {
    spec: {
      format: 1,
      features: ['runtime.command', ...(isStrict ? ['isolation.strict'] : [])],
      origin: 'labrun',
      namespace: file.namespace ?? user,
      name: file.name,
      env: file.env ?? {},
      maxRunning: file.maxRunning ?? 0,
      ...(file.maxFailures === undefined ? {} : { maxFailures: file.maxFailures === 'none' ? 0 : file.maxFailures }),
      ...(build === undefined ? {} : { build }),
      initialInputs: [],
      notify: [],
    },
    groups,
    buildInputs,
    initialInputs: [],
  };
}

interface Entry {
  readonly entry: JobEntry;
  readonly at: Path;
  readonly matrixAt: Path;
}

/** Top-level `matrix` and `job` are short for one entry of `jobs`. */
function entriesOf(written: Written, file: LabrunFile): Entry[] {
  if (file.job !== undefined) {
    if (file.jobs !== undefined) written.keyProblem(['job'], 'states job and jobs; write one of them');
    return [
      { entry: { ...file.job, name: file.job.name ?? 'job', matrix: file.matrix }, at: ['job'], matrixAt: ['matrix'] },
    ];
  }
  if (file.jobs === undefined) written.problem([], 'states no jobs; write jobs: with a list, or job: with one');
  else if (file.matrix !== undefined) {
    written.keyProblem(['matrix'], 'matrix belongs to job: at the top level; give it to an entry of jobs:');
  }
  return (file.jobs ?? []).map((entry, index) => ({
    entry,
    at: ['jobs', index],
    matrixAt: ['jobs', index, 'matrix'],
  }));
}

function resolveGroup(
  written: Written,
  entry: JobEntry,
  at: Path,
  matrixAt: Path,
  folder: string,
  where: Where,
): DraftGroup | undefined {
  const known = written.problems.length;
  const { matrix, count } = resolveMatrix(written, entry.matrix, matrixAt, folder, where);
  const inputs = resolveFiles(written, entry.files, [...at, 'files']);
  const needs = isolated(resolveNeeds(written, entry.needs, [...at, 'needs']), entry.isolation);
  const lists = (['archive', 'expect', 'templates'] as const).map((key) => paths(written, entry[key], [...at, key]));
  if (count === 0) return undefined; // left out by --where, or told already
  const [archive = [], expect = [], templates = []] = lists;
  const name = nameTemplate(entry.name ?? 'job', matrix);
  if (written.problems.length === known) {
    checkPlaceholders(written, name, matrix, [...at, 'name']);
    checkRun(written, entry.run, matrix, [...at, 'run']);
    for (const input of inputs) {
      for (const text of new Set([input.source, input.as])) checkPlaceholders(written, text, matrix, input.at);
    }
    for (const key of ['archive', 'expect', 'templates'] as const) {
      for (const [index, text] of (entry[key] ?? []).entries())
        checkPlaceholders(written, text, matrix, [...at, key, index]);
    }
  }
  checkEnv(written, entry.env, [...at, 'env'], matrix);
  const group: JobGroup = {
    name,
    ...(matrix === undefined ? {} : { matrix }),
    count,
    needs,
    runtime: { kind: 'command', run: runOf(entry.run) },
    inputs: inputs.map(plainInput),
    templates,
    env: entry.env ?? {},
    archive,
    expect,
    timeLimitMs: entry.timeLimit ?? 0,
    retries: entry.retries ?? 0,
    ...(entry.isolation === 'strict' ? { isolation: 'strict' as const } : {}),
  };
  return { group, at, nameAt: [...at, 'name'], inputs };
}

/** `run` over nu and mesh: `run-nu-{{nu}}_mesh-{{mesh}}`, unless the name says itself where values go. */
function nameTemplate(name: string, matrix: Matrix | undefined): string {
  if (matrix === undefined || placeholdersIn(name).length > 0) return name;
  return `${name}-${matrix.axes.map((axis) => `${axis.name}-{{${axis.name}}}`).join('_')}`;
}

function resolveBuild(
  written: Written,
  file: LabrunFile,
  groups: readonly DraftGroup[],
  inputs: readonly DraftInput[],
): BuildSpec | undefined {
  if (file.build === undefined) return undefined;
  const axes = new Set(groups.flatMap(({ group }) => group.matrix?.axes.map(({ name }) => name) ?? []));
  for (const text of [file.build.run, inputs.map(({ source }) => source)].flat()) {
    const axis = placeholdersIn(text).find((name) => axes.has(name));
    if (axis === undefined) continue;
    written.problem(['build'], `names {{${axis}}}, but a build serves every job of the batch; use it in the jobs only`);
  }
  const stated = file.build.needs;
  const needs = stated === undefined ? sharedNeeds(groups) : resolveNeeds(written, stated, ['build', 'needs']);
  return {
    runtime: { kind: 'command', run: runOf(file.build.run) },
    inputs: inputs.map(plainInput),
    needs: isolated(needs, file.isolation),
    timeLimitMs: file.build.timeLimit ?? buildTimeLimitMs,
    ...(file.isolation === 'strict' ? { isolation: 'strict' as const } : {}),
  };
}

/** Isolation is done by bubblewrap: a node without it never gets the job. */
function isolated(needs: Needs, isolation: JobEntry['isolation']): Needs {
  if (isolation !== 'strict' || needs.capabilities.some(({ name }) => name === 'bubblewrap')) return needs;
  return { ...needs, capabilities: [...needs.capabilities, { name: 'bubblewrap' }] };
}

/** What every job needs: where any job can run, so can the build. */
function sharedNeeds(groups: readonly DraftGroup[]): BuildSpec['needs'] {
  const [first, ...rest] = groups.map(({ group }) => group.needs.capabilities);
  const same = (text: string) => (capability: object) => JSON.stringify(capability) === text;
  return wholeNode((first ?? []).filter((need) => rest.every((other) => other.some(same(JSON.stringify(need))))));
}

function paths(written: Written, list: readonly string[] | undefined, at: Path): string[] {
  return (list ?? []).map((text, index) => {
    const path = posix.normalize(text);
    const problem = relativePathProblem(path === './' ? '.' : path);
    if (problem !== undefined) written.problem([...at, index], `"${text}" ${problem}`);
    return path;
  });
}

function checkRun(written: Written, run: RunEntry, matrix: Matrix | undefined, at: Path): void {
  if (typeof run === 'string') checkPlaceholders(written, run, matrix, at);
  else for (const [index, word] of run.entries()) checkPlaceholders(written, word, matrix, [...at, index]);
}

function checkEnv(written: Written, env: LabrunFile['env'], at: Path, matrix: Matrix | undefined): void {
  for (const [name, value] of Object.entries(env ?? {})) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) written.keyProblem([...at, name], `"${name}" is no name of a variable`);
    if (name.startsWith('LABRUN_'))
      written.keyProblem([...at, name], `"${name}": names with LABRUN_ are set by labrun itself`);
    if (value.includes('\0')) written.problem([...at, name], 'holds a NUL character');
    const axis = placeholdersIn(value).find((known) => matrix?.axes.some((one) => one.name === known));
    if (axis !== undefined) {
      const variable = `LABRUN_PARAM_${axis.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
      written.problem([...at, name], `{{${axis}}} is not replaced in env; jobs find it as $${variable}`);
    }
  }
}

function runOf(run: RunEntry): RunSpec {
  return typeof run === 'string' ? { kind: 'script', text: run } : { kind: 'argv', argv: [...run] };
}
