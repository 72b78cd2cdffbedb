import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError } from '../../base/errors.ts';
import { type AttemptId, parseAttemptId } from '../../base/ids.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { removeGuarded } from '../../base/transfer/remove-guarded.ts';
import { locateJob } from '../../config/matrix.ts';
import type { JobGroup } from '../../config/spec.ts';
import { renderShell, renderText } from '../../config/template.ts';
import type { FoundCapabilities, FoundCapability } from '../machine/capability.ts';
import type { BlobCache, BuildView, Collected, JobOrder, ProcessRequest, Workspace } from '../ports.ts';
import type { Runtimes } from '../runtimes/by-kind.ts';
import type { JobSite } from '../runtimes/runtime.ts';
import { type AttemptFolders, attemptFolders, makeAttemptFolders } from './attempt-folders.ts';
import { collect } from './collect.ts';
import { copyTree } from './copy-tree.ts';
import type { FileHashes } from './file-hashes.ts';
import { jobEnvironment } from './job-environment.ts';
import { contentOf, placeInputs } from './place-inputs.ts';
import { removeTree } from './remove-tree.ts';
import { renderTemplates } from './render-templates.ts';
import { giveFolders } from './run-as.ts';
import { takeSnapshot } from './snapshot.ts';
import { SpareFolders } from './spare-folders.ts';
import { type Walls, wall } from './wall.ts';

/** What working folders are made with. */
export interface WorkspaceOptions extends Walls {
  readonly cache: BlobCache;
  readonly runtimes: Runtimes;
  readonly hashes: FileHashes;
  readonly clock: Clock;
  /** As the machine offers them now. */
  capabilities(): FoundCapabilities;
  /** As the settings have it now. */
  holesMaxBytes(): number;
}

/** Working folders below `<root>/attempts`. */
export async function openWorkspace(asked: WorkspaceOptions): Promise<Workspace> {
  await makeFolder(join(asked.root, 'attempts'));
  // What jobs left is read under its real path only, so that is how all of it is named.
  const options = { ...asked, root: await realpath(asked.root) };
  const attempts = join(options.root, 'attempts');
  const spares = new SpareFolders(attempts);
  await spares.clear();
  const homeOf = (id: AttemptId) => join(attempts, id);
  return {
    homeOf,
    owner: options.account,
    holesMaxBytes: options.holesMaxBytes,
    prepare: (order, build, signal) =>
      prepare({ ...options, spares }, attemptFolders(homeOf(order.id)), order, build, signal),
    collect: (order) => sweep(options, attemptFolders(homeOf(order.id)), order),
    async wipe(id) {
      if (!parseAttemptId(id)) throw new Fault('invalid-request', `Cannot wipe "${id}": that is no attempt`);
      if (options.account) await removeGuarded(homeOf(id));
      else if (!spares.give(homeOf(id))) await removeTree(homeOf(id));
    },
    list: () => list(attempts),
  };
}

/** The capabilities among `needs`, as this machine has them. */
export function neededCapabilities(
  names: readonly { readonly name: string }[],
  found: FoundCapabilities,
): readonly FoundCapability[] {
  return names.flatMap(({ name }) => found[name] ?? []);
}

async function prepare(
  options: WorkspaceOptions & { readonly spares: SpareFolders },
  folders: AttemptFolders,
  order: JobOrder,
  build: BuildView | undefined,
  signal: AbortSignal,
): Promise<ProcessRequest> {
  // What an earlier try left was never started: an attempt with an identity is adopted, not prepared.
  if (existsSync(folders.home)) await removeGuarded(folders.home);
  const { group } = locateJob(order.spec, order.specIndex);
  const { params, spec } = order;
  const runtime = options.runtimes[group.runtime.kind];
  const capabilities = neededCapabilities(group.needs.capabilities, options.capabilities());
  const isPlain = build === undefined && runtime.archiveInWork === undefined;
  if (!isPlain || !options.spares.take(folders.home)) {
    makeAttemptFolders(folders, options.account !== undefined);
    if (build) await copyTree(build.folder, folders.work, signal);
    else mkdirSync(folders.work);
    if (runtime.archiveInWork === undefined) mkdirSync(folders.archive);
    else symlinkSync(join('work', runtime.archiveInWork), folders.archive);
  }
  const from = { ...options, spec, namespace: order.namespace, params, holder: order.id, signal };
  const site: JobSite = {
    runtime: group.runtime,
    folders,
    cpus: order.cpus,
    initialInputs: spec.initialInputs,
    inputs: group.inputs,
    hasBuild: build !== undefined,
    setups: capabilities.flatMap(({ setup }) => setup ?? []),
    place: async (inputs, folder) => {
      if (inputs.length > 0) await placeInputs(from, inputs, folder);
    },
    contentOf: (input) => contentOf(from, input),
    renderText: (template) => renderText(template, params),
    renderShell: (template) => renderShell(template, params),
    signal,
  };
  const launch = await runtime.prepare(site);
  const input = runtime.inputsFolder(folders);
  const rendered = await renderTemplates(input, group.templates, params);
  if (options.account) await giveFolders(folders, options.account);
  if (group.archive.length > 0) await takeSnapshot(folders.work, folders.snapshot, rendered);
  const environment = jobEnvironment(order, { folders, capabilities, build, input, runtimeEnv: launch.env });
  const { id, limits } = order;
  const request = { home: folders.home, id, argv: launch.argv, cwd: folders.work, env: environment, limits };
  const isStrict = group.isolation === 'strict';
  return wall(options, request, { folders, build: build?.folder, hasGpus: group.needs.gpus > 0, isStrict });
}

async function sweep(options: WorkspaceOptions, folders: AttemptFolders, order: JobOrder): Promise<Collected> {
  const { group } = locateJob(order.spec, order.specIndex);
  const { archiveInWork } = options.runtimes[group.runtime.kind];
  const sweepOrder = {
    archive: archiveInWork === undefined ? folders.archive : join(folders.work, archiveInWork),
    work: folders.work,
    snapshot: folders.snapshot,
    patterns: rendered(group, order, 'archive'),
    expect: rendered(group, order, 'expect'),
    owner: options.account,
    holesMaxBytes: options.holesMaxBytes(),
    clock: options.clock,
  };
  return collect(sweepOrder, options.hashes);
}

function rendered(group: JobGroup, order: JobOrder, list: 'archive' | 'expect'): readonly string[] {
  return group[list].map((template) => renderText(template, order.params));
}

async function list(folder: string): Promise<readonly AttemptId[]> {
  try {
    const names = await readdir(folder);
    return names.filter((name) => parseAttemptId(name) !== undefined) as AttemptId[]; // their form has just been checked
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}
