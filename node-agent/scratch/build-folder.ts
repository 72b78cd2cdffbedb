import { chmodSync, closeSync, fchmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { openKeptAny } from '../../base/transfer/open-kept.ts';
import { removeGuarded } from '../../base/transfer/remove-guarded.ts';
import { buildDigest } from '../../config/digest.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { readWords } from '../executor/small-file.ts';
import type { FoundCapabilities } from '../machine/capability.ts';
import { runCommand as runProgram } from '../machine/run-command.ts';
import type { BlobCache, BuildFolderFacts, BuildFolders, BuildOrder, BuildView, ProcessRequest } from '../ports.ts';
import { runCommand } from '../runtimes/command.ts';
import { preparePythonBuild } from '../runtimes/python.ts';
import type { JobSite } from '../runtimes/runtime.ts';
import { attemptFolders, makeAttemptFolders } from './attempt-folders.ts';
import { buildEnvironment, standardPath } from './environment.ts';
import { contentOf, placeInputs } from './place-inputs.ts';
import { type Account, giveFolders } from './run-as.ts';
import { cannotKeep, walk } from './walk.ts';
import { type Walls, wall } from './wall.ts';
import { neededCapabilities } from './workspace.ts';

/** What build folders are made with. */
export interface BuildFolderOptions extends Walls {
  readonly cache: BlobCache;
  readonly clock: Clock;
  readonly os: string;
  readonly architecture: string;
  /** As the machine offers them now. */
  capabilities(): FoundCapabilities;
}

/** What is written beside a build: `facts` when it is laid out, `finished` (the marker) when it may be used. */
interface FolderFacts {
  readonly digest: string;
  readonly sizeBytes: number;
}

const keyForm = /^[0-9a-f]{32}$/;
/** Writing a build out to disk may take long on a spinning one; then the marker is not written. */
const syncTimeoutMs = 600_000;

/**
 * Builds below `<root>/builds/<key>`: `work/` is the build itself, at this path as long as anyone uses it; `log`,
 * `identity` and the markers lie beside it.
 */
export async function openBuildFolders(asked: BuildFolderOptions): Promise<BuildFolders> {
  await makeFolder(join(asked.root, 'builds'));
  const options = { ...asked, root: await realpath(asked.root) }; // as the working folders are named
  const builds = join(options.root, 'builds');
  const homeOf = (key: string) => {
    if (!keyForm.test(key)) throw new Fault('invalid-request', `Cannot use build "${key}": that is no build key`);
    return join(builds, key);
  };
  return {
    homeOf,
    keyOf: (spec) => keyOf(spec, options),
    async find(key) {
      const marker = join(homeOf(key), 'finished');
      try {
        const nowS = options.clock.nowMs() / 1000;
        utimesSync(marker, nowS, nowS);
        return { folder: join(homeOf(key), 'work') };
      } catch (error) {
        if (isSystemError(error, 'ENOENT')) return undefined;
        throw error;
      }
    },
    async prepare(order, signal) {
      try {
        return await prepare(options, homeOf(order.key), order, signal);
      } finally {
        options.cache.release(order.key); // its inputs are copies by now, and the cache may drop them
      }
    },
    finish: (order) => finish(homeOf(order.key), order, options.account),
    remove: (key) => removeGuarded(homeOf(key)),
    list: () => list(builds),
  };
}

/**
 * The whole build key: what the spec says, and the machine's part. 128 bits, because every path of a build holds it and
 * the kernel takes scripts whose first line has at most 255 bytes.
 */
function keyOf(spec: BatchSpec, options: BuildFolderOptions): string | undefined {
  if (!spec.build) return undefined;
  const found = options.capabilities();
  const versions = spec.build.needs.capabilities.map(({ name }) => [
    name,
    found[name]?.version ?? '',
    found[name]?.setup,
    found[name]?.env,
  ]);
  const parts = [buildDigest(spec), options.os, options.architecture, versions];
  return hashBytes(JSON.stringify(parts)).slice('blake3:'.length).slice(0, 32);
}

async function prepare(
  options: BuildFolderOptions,
  home: string,
  order: BuildOrder,
  signal: AbortSignal,
): Promise<ProcessRequest> {
  const { build } = order.spec;
  if (!build) throw new Fault('invalid-request', 'Cannot build: the batch has no build');
  await removeGuarded(home);
  const folders = attemptFolders(home);
  makeAttemptFolders(folders, options.account !== undefined);
  mkdirSync(folders.work);
  writeFacts(join(home, 'facts'), { digest: buildDigest(order.spec), sizeBytes: 0 });
  const capabilities = neededCapabilities(build.needs.capabilities, options.capabilities());
  const from = { ...options, spec: order.spec, namespace: order.namespace, params: {}, holder: order.key, signal };
  const site: JobSite = {
    runtime: build.runtime,
    folders,
    cpus: order.cpus,
    initialInputs: order.spec.initialInputs,
    inputs: build.inputs,
    hasBuild: false,
    setups: capabilities.flatMap(({ setup }) => setup ?? []),
    place: async (inputs, folder) => {
      if (inputs.length > 0) await placeInputs(from, inputs, folder);
    },
    contentOf: (input) => contentOf(from, input),
    renderText: (template) => template,
    renderShell: (template) => template,
    signal,
  };
  const argv = await commandOf(site, build.runtime);
  const env = buildEnvironment({
    ...order,
    needs: build.needs,
    userHome: folders.userHome,
    tmp: folders.tmp,
    declared: [order.spec.env],
    capabilities,
    build: folders.work,
  });
  const request = { home, id: `build-${order.key}`, argv, cwd: folders.work, env, limits: order.limits };
  if (options.account) await giveFolders(folders, options.account);
  const isStrict = build.isolation === 'strict';
  return wall(options, request, { folders, build: undefined, hasGpus: build.needs.gpus > 0, isStrict });
}

async function commandOf(
  site: JobSite,
  runtime: NonNullable<BatchSpec['build']>['runtime'],
): Promise<readonly string[]> {
  if (runtime.kind === 'python') return preparePythonBuild(site, runtime.script);
  await site.place([...site.initialInputs, ...site.inputs], site.folders.work);
  return runCommand(runtime.run, site);
}

async function finish(home: string, order: BuildOrder, account: Account | undefined): Promise<BuildView> {
  const folder = join(home, 'work');
  const entries = await walk(folder, { owner: account });
  const odd = entries.find((entry) => entry.unread);
  if (odd) throw cannotKeep(odd.path, odd.problem ?? '');
  const set = account === undefined ? chmodSync : setModeGuarded;
  // Leaves first: nothing can be changed below a folder that has become read-only.
  for (const { kind, source, facts, problem } of [...entries].reverse()) {
    if (kind !== 'link' && problem === undefined) set(source, facts.mode & 0o555);
  }
  chmodSync(folder, 0o555);
  // After a power failure a marker without its files would pass for a build, so they go to disk first.
  const result = await runProgram(['sync', '-f', folder], { env: { PATH: standardPath }, timeoutMs: syncTimeoutMs });
  if (result.exitCode !== 0) throw new Fault('disk-failed', `Cannot write the build to disk: ${result.stderr.trim()}`);
  const sizeBytes = entries.reduce((sum, { kind, facts }) => sum + (kind === 'file' ? facts.size : 0), 0);
  writeFacts(join(home, 'finished'), { digest: buildDigest(order.spec), sizeBytes });
  return { folder };
}

/** Others of the account may still swap a file for a link, by which an agent that is root would open what is not theirs. */
function setModeGuarded(source: string, mode: number): void {
  const fd = openKeptAny(source);
  try {
    fchmodSync(fd, mode);
  } finally {
    closeSync(fd);
  }
}

function writeFacts(path: string, facts: FolderFacts): void {
  writeFileSync(path, JSON.stringify(facts), { flush: true });
}

async function list(builds: string): Promise<readonly BuildFolderFacts[]> {
  const keys = (await readdir(builds)).filter((name) => keyForm.test(name));
  const all = await Promise.all(keys.map((key) => factsOf(join(builds, key), key)));
  return all.filter((facts) => facts !== undefined);
}

async function factsOf(home: string, key: string): Promise<BuildFolderFacts | undefined> {
  for (const name of ['finished', 'facts'] as const) {
    try {
      const text = readWords(join(home, name));
      if (text === undefined) continue;
      const facts = JSON.parse(text) as FolderFacts; // written by writeFacts
      const usedAtMs = (await stat(join(home, name))).mtimeMs;
      return { key, digest: facts.digest, finished: name === 'finished', usedAtMs, sizeBytes: facts.sizeBytes };
    } catch (error) {
      // Not there, or cut short by a crash: then it is not finished, and no one knows what it was for.
      if (!isSystemError(error, 'ENOENT') && !(error instanceof SyntaxError)) throw error;
    }
  }
  return { key, digest: '', finished: false, usedAtMs: (await stat(home)).mtimeMs, sizeBytes: 0 };
}
