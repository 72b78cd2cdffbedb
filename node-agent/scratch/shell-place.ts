import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { join } from 'node:path';
import { locateJob } from '../../config/matrix.ts';
import type { FoundCapabilities } from '../machine/capability.ts';
import type { BuildView, JobOrder, ProcessRequest } from '../ports.ts';
import type { Runtimes } from '../runtimes/by-kind.ts';
import { argvCommand } from '../runtimes/shell-text.ts';
import { attemptFolders } from './attempt-folders.ts';
import { standardPath } from './environment.ts';
import { jobEnvironment } from './job-environment.ts';
import { lateEnvironment } from './late-environment.ts';
import { type Walls, wall } from './wall.ts';
import { neededCapabilities } from './workspace.ts';

/** What terminals are laid out with. */
export interface ShellPlaceOptions extends Walls {
  readonly runtimes: Runtimes;
  capabilities(): FoundCapabilities;
  /** Processes of one terminal at a time. */
  processesMax(): number;
}

/** One terminal: the folder that is its own, and how programs there are to take the window. */
export interface ShellSite {
  readonly id: string;
  readonly home: string;
  readonly term: string;
  /** What is run; empty: a shell. */
  readonly argv: readonly string[];
}

/** Where a terminal's shell runs: with the folders, the environment and the walls of a job. */
export interface ShellPlaces {
  inJob(site: ShellSite, order: JobOrder, build: BuildView | undefined): ProcessRequest;
  /** In an empty folder of its own, which goes with it. */
  onNode(site: ShellSite): Promise<ProcessRequest>;
}

/** Says how shells are started; starts none. */
export function shellPlaces(asked: ShellPlaceOptions): ShellPlaces {
  const options = { ...asked, root: realpathSync(asked.root) }; // as the working folders are named
  // What they may use has no limit of its own but this: a shell that is ended for its memory takes the work in it along.
  const limits = () => ({ memoryBytes: 0, processes: options.processesMax(), diskBytes: 0, cpus: 1 });
  return {
    inJob({ id, home, term, argv: asked }, order, build) {
      const folders = attemptFolders(join(options.root, 'attempts', order.id));
      const { group } = locateJob(order.spec, order.specIndex);
      const capabilities = neededCapabilities(group.needs.capabilities, options.capabilities());
      const input = options.runtimes[group.runtime.kind].inputsFolder(folders);
      const env = jobEnvironment(order, { folders, capabilities, build, input, runtimeEnv: {} });
      const argv = argvCommand(
        asked.length > 0 ? asked : [shell()],
        capabilities.flatMap(({ setup }) => setup ?? []),
      );
      const request = { home, id, argv, cwd: folders.work, env: { ...env, ...shellEnv(term) }, limits: limits() };
      const isStrict = group.isolation === 'strict';
      const walled = { folders, build: build?.folder, hasGpus: group.needs.gpus > 0, isStrict };
      return late(wall(options, request, { ...walled, environmentFile: `terminal-${id}.sh` }), request);
    },
    async onNode({ id, home, term, argv: asked }) {
      const folders = attemptFolders(home);
      const { account } = options;
      for (const folder of [folders.userHome, folders.tmp]) {
        mkdirSync(folder);
        if (account) await chown(folder, account.uid, account.gid);
      }
      const { userHome: HOME, tmp: TMPDIR } = folders;
      const env = { PATH: standardPath, LANG: 'C.UTF-8', HOME, TMPDIR, ...shellEnv(term) };
      const argv = asked.length > 0 ? asked : [shell()];
      const request = { home, id, argv, cwd: HOME, env, limits: limits() };
      const walled = { folders, build: undefined, hasGpus: false, isStrict: false };
      return late(wall(options, request, walled), request);
    },
  };
}

/** What starts the shell keeps the environment out of its own: behind no wall, too, a job's LD_PRELOAD is for the shell alone. */
function late(walled: ProcessRequest, { home }: ProcessRequest): ProcessRequest {
  if (walled.env['HOME'] === undefined) return walled; // a wall has done so
  const argv = lateEnvironment(join(home, 'environment.sh'), walled.env, walled.argv, undefined);
  return { ...walled, argv, env: { PATH: standardPath } };
}

function shell(): string {
  return existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh';
}

function shellEnv(term: string): Readonly<Record<string, string>> {
  return { TERM: term, SHELL: shell() };
}
