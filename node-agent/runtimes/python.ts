import { constants, copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import type { Input } from '../../config/spec.ts';
import { makeInside } from '../scratch/inside.ts';
import { removeTree } from '../scratch/remove-tree.ts';
import type { JobSite, Runtime } from './runtime.ts';
import { argvCommand } from './shell-text.ts';

/**
 * distribute's python batches: one base directory with `distribute_save/` (what is kept), `input/` (made anew for every
 * job) and `initial_files/`. What the build left in the base directory is there for every job, in a view of its own.
 */
export const pythonRuntime: Runtime = {
  async prepare(site) {
    assert(site.runtime.kind === 'python', 'the python runtime gets its own jobs');
    const base = site.folders.work;
    // The archive folder of this runtime is a link to here; what the build left in it is no result of the job.
    await removeTree(join(base, 'distribute_save'));
    mkdirSync(join(base, 'distribute_save'));
    if (!site.hasBuild) await site.place(site.initialInputs, join(base, 'initial_files'));
    await makeInput(base);
    await site.place(site.inputs, join(base, 'input'));
    return { argv: await pythonCommand(site, site.runtime.script, [String(site.cpus)]), env: {} };
  },
  inputsFolder: (folders) => join(folders.work, 'input'),
  archiveInWork: 'distribute_save',
};

/** Lays out a build's base directory: `initial_files/`, `input/` that holds them already, and the script. */
export async function preparePythonBuild(site: JobSite, script: Input): Promise<readonly string[]> {
  const base = site.folders.work;
  mkdirSync(join(base, 'distribute_save'));
  await site.place([...site.initialInputs, ...site.inputs], join(base, 'initial_files'));
  await makeInput(base);
  return pythonCommand(site, script, []);
}

async function pythonCommand(site: JobSite, script: Input, args: readonly string[]): Promise<readonly string[]> {
  await site.place([script], site.folders.work);
  return argvCommand(['python3', site.renderText(script.as), ...args], site.setups);
}

/** `input/` with the files (not the folders) of `initial_files/`, also those the build put there. */
async function makeInput(base: string): Promise<void> {
  // The build may have made a link of it.
  const from = await makeInside(base, join(base, 'initial_files'));
  const to = join(base, 'input');
  await removeTree(to);
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isFile()) {
      copyFileSync(join(from, entry.name), join(to, entry.name), constants.COPYFILE_FICLONE);
    }
  }
}
