import { buildDigest } from '../../config/digest.ts';
import type { BatchSpec } from '../../config/spec.ts';
import type { BuildFolderFacts, BuildFolders, BuildOrder, BuildView } from '../../node-agent/ports.ts';
import type { SimMachine } from './sim-machine.ts';

/** What build folders need of the agent that keeps them. */
export interface SimBuildPorts {
  readonly machine: SimMachine;
  /** Work that takes a while, and never comes back to an agent that was killed. */
  takes(leastMs: number, mostMs: number): Promise<void>;
  /** Something that must not be. */
  onBroken(what: string): void;
}

const homePrefix = 'build ';

/** The home of a build's processes. */
export const buildHome = (key: string) => `${homePrefix}${key}`;

/** Whether a home is a build's, and of which digest. */
export function digestIn(machine: SimMachine, home: string): string | undefined {
  return home.startsWith(homePrefix) ? machine.builds.get(home.slice(homePrefix.length))?.digest : undefined;
}

/** Build folders on a simulated disk: the twin of `node-agent/scratch/build-folder.ts`. */
export function simBuildFolders({ machine, takes, onBroken }: SimBuildPorts): BuildFolders {
  return {
    keyOf: (spec: BatchSpec) => (spec.build === undefined ? undefined : `key-${buildDigest(spec).slice(-20)}`),
    async find(key): Promise<BuildView | undefined> {
      await takes(0, 3);
      return machine.builds.get(key)?.finished ? { folder: buildHome(key) } : undefined;
    },
    homeOf: buildHome,
    async prepare({ key, spec, limits }: BuildOrder, signal) {
      await takes(0, 40);
      signal.throwIfAborted();
      if (machine.diskIsFull) throw noSpace();
      const home = buildHome(key);
      if (machine.builds.get(key)?.finished) onBroken(`${key} is built again on ${machine.name}, where it is ready`);
      machine.remove(home);
      machine.builds.set(key, { digest: buildDigest(spec), finished: false });
      return { home, id: home, argv: ['true'], cwd: '/', env: {}, limits };
    },
    async finish({ key }) {
      await takes(0, 10);
      const build = machine.builds.get(key);
      const end = machine.processIn(buildHome(key))?.end;
      if (!build || end?.kind !== 'exited' || end.exitCode !== 0)
        onBroken(`${key} is called ready on ${machine.name}, and is not`);
      else build.finished = true;
      return { folder: buildHome(key) };
    },
    async remove(key) {
      await takes(0, 10);
      const process = machine.processIn(buildHome(key));
      if (process && !process.end) onBroken(`${key} is removed on ${machine.name} while it is being built`);
      machine.remove(buildHome(key));
      machine.builds.delete(key);
    },
    async list(): Promise<readonly BuildFolderFacts[]> {
      await takes(0, 3);
      return [...machine.builds].map(([key, { digest, finished }]) => ({
        ...{ key, digest, finished, usedAtMs: 0, sizeBytes: 1 },
      }));
    },
  };
}

/** What the kernel says of a full disk. */
export function noSpace(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
}
