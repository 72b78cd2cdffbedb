import { posix } from 'node:path';
import { relativePathProblem } from '../../base/names.ts';
import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import type { BuildSpec, JobGroup, Needs, RuntimeSpec } from '../spec.ts';
import type { DistributeFile, DistributeFileEntry } from './distribute-file.ts';
import { type Draft, type DraftGroup, type DraftInput, plainInput } from './draft.ts';
import { buildTimeLimitMs } from './labrun-file.ts';
import { wholeNode } from './resolve-needs.ts';

/** Folders of a python batch's base directory; a script of one of these names would take its place. */
const layoutFolders = ['distribute_save', 'input', 'initial_files'];

/** Gives a checked `distribute-jobs.yaml` the meaning it has there: whole nodes, no time limit, no retries. */
export function resolveDistribute(written: Written, file: DistributeFile): Draft {
  const needs = wholeNode(file.meta.capabilities.map((name) => ({ name })));
  checkCapabilities(written, file.meta.capabilities);
  const { python, apptainer } = file;
  const person = file.meta.matrix ?? undefined;
  if (person !== undefined && !/^@[^:\s]+:[^\s]+$/.test(person)) {
    written.problem(['meta', 'matrix'], `expected a Matrix user, like "@user:server.org", found "${person}"`);
  }
  if ((python === undefined) === (apptainer === undefined)) {
    written.problem([], 'needs exactly one of python: and apptainer:');
  }
  const kind = python === undefined ? 'apptainer' : 'python';
  const required = (python ?? apptainer)?.initialize.required_files;
  const initialInputs = filesOf(written, required, [kind, 'initialize', 'required_files']);
  const build = python && pythonBuild(written, python.initialize.build_file, needs);
  const groups = python
    ? pythonJobs(written, python, needs)
    : apptainer
      ? apptainerJobs(written, apptainer, needs)
      : [];
  return {
    spec: {
      format: 1,
      features: [`runtime.${kind}`],
      origin: 'distribute',
      namespace: file.meta.namespace,
      name: file.meta.batch_name,
      env: {},
      maxRunning: 0,
      ...(build === undefined ? {} : { build: build.spec }),
      initialInputs: initialInputs.map(plainInput),
      notify: person === undefined ? [] : [`matrix:${person}`],
    },
    groups,
    buildInputs: build === undefined ? [] : [build.script],
    initialInputs,
  };
}

function pythonBuild(
  written: Written,
  file: DistributeFileEntry,
  needs: Needs,
): { spec: BuildSpec; script: DraftInput } {
  const script = inputOf(written, file, ['python', 'initialize', 'build_file'], 'script');
  return {
    spec: { runtime: { kind: 'python', script: plainInput(script) }, inputs: [], needs, timeLimitMs: buildTimeLimitMs },
    script,
  };
}

function pythonJobs(written: Written, python: NonNullable<DistributeFile['python']>, needs: Needs): DraftGroup[] {
  return python.jobs.map((job, index) => {
    const at = ['python', 'jobs', index];
    const script = inputOf(written, job.file, [...at, 'file'], 'script');
    const inputs = filesOf(written, job.required_files, [...at, 'required_files']);
    return groupOf(job.name, at, needs, { kind: 'python', script: plainInput(script) }, inputs, script);
  });
}

function apptainerJobs(
  written: Written,
  apptainer: NonNullable<DistributeFile['apptainer']>,
  needs: Needs,
): DraftGroup[] {
  const { sif, required_mounts: mounts = [] } = apptainer.initialize;
  const image = inputOf(written, sif, ['apptainer', 'initialize', 'sif'], 'script');
  checkMounts(written, mounts);
  return apptainer.jobs.map((job, index) => {
    const at = ['apptainer', 'jobs', index];
    const inputs = filesOf(written, job.required_files, [...at, 'required_files']);
    return groupOf(
      job.name,
      at,
      needs,
      { kind: 'apptainer', image: plainInput(image), mounts: [...mounts] },
      inputs,
      image,
    );
  });
}

function groupOf(
  name: string,
  at: Path,
  needs: Needs,
  runtime: RuntimeSpec,
  inputs: readonly DraftInput[],
  own: DraftInput,
): DraftGroup {
  const group: JobGroup = {
    name,
    count: 1,
    needs,
    runtime,
    inputs: inputs.map(plainInput),
    templates: [],
    env: {},
    archive: [],
    expect: [],
    timeLimitMs: 0,
    retries: 0,
  };
  return { group, at, nameAt: [...at, 'name'], inputs: [...inputs, own] };
}

function filesOf(written: Written, list: readonly DistributeFileEntry[] | undefined, at: Path): DraftInput[] {
  return (list ?? []).map((file, index) => inputOf(written, file, [...at, index], 'inputs'));
}

/** The name on the node is the alias or the base name, inside of the folder it belongs to. */
function inputOf(written: Written, file: DistributeFileEntry, at: Path, place: DraftInput['place']): DraftInput {
  const path = typeof file === 'string' ? file : file.path;
  const alias = typeof file === 'string' ? undefined : (file.alias ?? undefined);
  const as = alias === undefined ? posix.basename(path) : posix.normalize(alias);
  const problem = relativePathProblem(as);
  if (problem !== undefined) written.problem(alias === undefined ? at : [...at, 'alias'], `"${as}" ${problem}`);
  if (place === 'script' && layoutFolders.includes(as)) {
    written.problem(at, `"${as}" is a folder of every job's working directory; give it another name by alias:`);
  }
  return { source: posix.normalize(path), as, at, fileOnly: true, place };
}

function checkMounts(written: Written, mounts: readonly string[]): void {
  for (const [index, mount] of mounts.entries()) {
    const at = ['apptainer', 'initialize', 'required_mounts', index];
    if (!mount.startsWith('/'))
      written.problem(at, `"${mount}" is relative; a mount is a path inside the container, like /work`);
    if (/[:,\0]/.test(mount)) written.problem(at, `"${mount}" holds ":" or ",", which Apptainer takes for a separator`);
    if (mount.split('/').includes('..')) written.problem(at, `"${mount}" holds ".."`);
    if (mounts.indexOf(mount) !== index) written.problem(at, `"${mount}" is here twice`);
  }
}

function checkCapabilities(written: Written, names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    if (/^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(name)) continue;
    written.problem(
      ['meta', 'capabilities', index],
      `expected the name of a capability, like "gfortran", found "${name}"`,
    );
  }
}
