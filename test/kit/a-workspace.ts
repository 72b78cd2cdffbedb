import { readFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import type { FoundCapabilities } from '../../node-agent/machine/capability.ts';
import type { BuildFolders, Collected, Executor, JobOrder, ProcessEnd, Workspace } from '../../node-agent/ports.ts';
import { apptainerNode } from '../../node-agent/runtimes/apptainer-node.ts';
import { allRuntimes } from '../../node-agent/runtimes/by-kind.ts';
import { openBuildFolders } from '../../node-agent/scratch/build-folder.ts';
import { standardPath } from '../../node-agent/scratch/environment.ts';
import { FileHashes } from '../../node-agent/scratch/file-hashes.ts';
import type { Account } from '../../node-agent/scratch/run-as.ts';
import { openWorkspace } from '../../node-agent/scratch/workspace.ts';
import { anExecutor } from './an-executor.ts';
import { type SomeBlobs, someBlobs } from './some-blobs.ts';

/** What an archive of the kit may claim without holding it, in bytes. */
export const holesMaxBytes = 2 ** 30;

/** Everything that turns orders into results on one machine. */
export interface WorkspaceKit {
  readonly blobs: SomeBlobs;
  readonly workspace: Workspace;
  readonly builds: BuildFolders;
  readonly executor: Executor;
  /** Lays out, runs and sweeps a job; its folder is left for a look. */
  run(order: JobOrder): Promise<{ readonly end: ProcessEnd; readonly collected: Collected }>;
}

/** A real workspace, its builds and an executor below `root`. */
export async function aWorkspace(
  root: string,
  capabilities: FoundCapabilities = {},
  account?: Account,
): Promise<WorkspaceKit> {
  const blobs = someBlobs(root);
  const hashes = new FileHashes();
  onTestFinished(() => hashes.close());
  const runtimes = allRuntimes(apptainerNode(() => ({ PATH: standardPath, HOME: root })));
  const shared = {
    root,
    cache: blobs,
    clock: systemClock,
    capabilities: () => capabilities,
    readable: () => [],
    account,
  };
  const workspace = await openWorkspace({ ...shared, runtimes, hashes, holesMaxBytes: () => holesMaxBytes });
  const builds = await openBuildFolders({ ...shared, os: 'linux', architecture: arch() });
  const executor = await anExecutor(root);
  const signal = new AbortController().signal;
  return {
    blobs,
    workspace,
    builds,
    executor,
    async run(order) {
      const build = await finishedBuild();
      const request = await workspace.prepare(order, build, signal);
      const end = await (await executor.start(request)).ended;
      await executor.kill(request.home, 1000);
      return { end, collected: await workspace.collect(order) };

      async function finishedBuild() {
        const key = builds.keyOf(order.spec);
        if (key === undefined) return undefined;
        const found = await builds.find(key);
        if (found) return found;
        const buildOrder = { ...order, key };
        const buildRequest = await builds.prepare(buildOrder, signal);
        const buildEnd = await (await executor.start(buildRequest)).ended;
        await executor.kill(buildRequest.home, 1000);
        if (buildEnd.kind !== 'exited' || buildEnd.exitCode !== 0) {
          throw new Error(`${JSON.stringify(buildEnd)} ${readFileSync(join(buildRequest.home, 'log'), 'utf8')}`);
        }
        return builds.finish(buildOrder);
      }
    },
  };
}
