import { lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptId } from '../../base/ids.ts';
import { parseAttemptId } from '../../base/ids.ts';
import { hashFile } from '../../base/transfer/hash.ts';
import { locateJob } from '../../config/matrix.ts';
import type { RunSpec } from '../../config/spec.ts';
import type { BuildFolders, CollectedFile, ProcessRequest, Workspace } from '../../node-agent/ports.ts';
import { aLimit } from './an-executor.ts';

/** The least a working folder must be: runs `run` texts, keeps what lies in the archive folder. For tests of the agent. */
export function plainWorkspace(place: string, events: string[] = []): Workspace {
  mkdirSync(place, { recursive: true });
  const folder = realpathSync(place);
  const homeOf = (id: AttemptId) => join(folder, id);
  return {
    homeOf,
    owner: undefined,
    holesMaxBytes: () => 2 ** 30,
    async prepare(order) {
      const { group } = locateJob(order.spec, order.specIndex);
      const home = homeOf(order.id);
      mkdirSync(join(home, 'archive'), { recursive: true });
      if (group.runtime.kind !== 'command') throw new Error('not in this twin');
      return requestFor(home, order.id, group.runtime.run, { ...order.params });
    },
    async collect(order) {
      events.push(`collect ${order.index}`);
      const root = join(homeOf(order.id), 'archive');
      const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
      const found = names.map(async (path): Promise<CollectedFile> => {
        const source = join(root, path);
        const { size: sizeBytes, mode: bits } = lstatSync(source);
        const kind = statSync(source).isDirectory() ? 'folder' : 'file';
        const hash = kind === 'file' ? await hashFile(source) : undefined;
        return { path, kind, source, sizeBytes, mode: bits & 0o7777, hash, linkTarget: undefined };
      });
      return { files: await Promise.all(found), missing: [], problems: [] };
    },
    async wipe(id) {
      events.push(`wipe ${id.split('.')[1]}`);
      rmSync(homeOf(id), { recursive: true, force: true });
    },
    list: async () => readdirSync(folder).filter((name): name is AttemptId => parseAttemptId(name) !== undefined),
  };
}

/** Build folders as plain as that: the build runs in its home, a file named `.done` is the marker. */
export function plainBuildFolders(folder: string, builds: string[] = []): BuildFolders {
  mkdirSync(folder, { recursive: true });
  const homeOf = (key: string) => join(folder, key);
  const done = (key: string) => readdirSync(folder).includes(`${key}.done`);
  return {
    keyOf: (spec) => (spec.build ? spec.name : undefined),
    find: async (key) => (done(key) ? { folder: homeOf(key) } : undefined),
    homeOf,
    async prepare({ key, spec, limits }) {
      builds.push(key);
      rmSync(homeOf(key), { recursive: true, force: true });
      mkdirSync(homeOf(key));
      const run = spec.build?.runtime.kind === 'command' ? spec.build.runtime.run : undefined;
      const request = requestFor(homeOf(key), `build-${key}`, run ?? { kind: 'argv', argv: ['false'] }, {});
      return { ...request, limits };
    },
    async finish({ key }) {
      mkdirSync(join(folder, `${key}.done`));
      return { folder: homeOf(key) };
    },
    async remove(key) {
      for (const path of [homeOf(key), join(folder, `${key}.done`)]) rmSync(path, { recursive: true, force: true });
    },
    list: async () =>
      readdirSync(folder)
        .filter((name) => !name.endsWith('.done'))
        .map((key) => ({ key, digest: `digest of ${key}`, finished: done(key), usedAtMs: 0, sizeBytes: 1 })),
  };
}

function requestFor(home: string, id: string, run: RunSpec, params: Record<string, string>): ProcessRequest {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, LABRUN_ARCHIVE: join(home, 'archive'), ...params };
  return {
    home,
    id,
    argv: run.kind === 'argv' ? run.argv : ['bash', '-c', run.text],
    cwd: home,
    env,
    limits: aLimit(),
  };
}
