import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import { Fault } from '../../base/errors.ts';
import { makeFolderSync } from '../../base/make-folder.ts';
import type { ApptainerNode } from './apptainer-node.ts';
import type { Runtime } from './runtime.ts';
import { argvCommand } from './shell-text.ts';

/** The app of an image that distribute's batches run. */
const app = 'distribute';

/** distribute's container batches: `apptainer run --app distribute` with a save, an input and fresh mounts bound. */
export function apptainerRuntime(node: ApptainerNode): Runtime {
  return {
    async prepare(site) {
      assert(site.runtime.kind === 'apptainer', 'the apptainer runtime gets its own jobs');
      const { folders } = site;
      const input = join(folders.work, 'input');
      makeFolderSync(input);
      await site.place([...site.initialInputs, ...site.inputs], input);
      const image = await site.contentOf(site.runtime.image);
      await node.checkApp(image, app, site.setups, site.signal);
      const ways = await node.waysToRun(image, site.setups, site.signal);
      // All of the attempt's folder, so that TMPDIR and labrun's other paths are there inside, too.
      const binds = [
        bind(folders.home, folders.home),
        bind(folders.archive, '/distribute_save'),
        bind(input, '/input'),
      ];
      for (const [at, mount] of site.runtime.mounts.entries()) {
        const folder = join(folders.home, 'mounts', String(at));
        makeFolderSync(folder);
        binds.push(bind(folder, mount));
      }
      // Without `--home` Apptainer mounts the real one, and what a job left there would never be wiped.
      const options = [...ways.options, '--home', folders.userHome, '--app', app, '--bind', binds.join(',')];
      const argv = ['apptainer', 'run', ...options, image, String(site.cpus)];
      return { argv: argvCommand(argv, site.setups), env: ways.env };
    },
    inputsFolder: (folders) => join(folders.work, 'input'),
    archiveInWork: undefined,
  };
}

/** Apptainer separates binds by commas and their parts by colons, and has no way to quote either. */
function bind(from: string, to: string): string {
  const bad = [from, to].find((path) => /[,:]/.test(path));
  if (bad !== undefined) {
    throw new Fault('invalid-request', `Cannot mount "${bad}" in a container: its name holds a comma or a colon`);
  }
  return `${from}:${to}:rw`;
}
