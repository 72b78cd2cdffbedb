import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import type { RunSpec } from '../../config/spec.ts';
import type { JobSite, Runtime } from './runtime.ts';
import { argvCommand, scriptCommand } from './shell-text.ts';

/** Runs a script or an argv in the job's view of the build, its files laid out there. */
export const commandRuntime: Runtime = {
  async prepare(site) {
    assert(site.runtime.kind === 'command', 'the command runtime gets its own jobs');
    await site.place([...site.initialInputs, ...site.inputs], site.folders.work);
    return { argv: runCommand(site.runtime.run, site), env: {} };
  },
  inputsFolder: (folders) => folders.work,
  archiveInWork: undefined,
};

/** The command of a `run`, with the job's parameters in it. */
export function runCommand(
  run: RunSpec,
  site: Pick<JobSite, 'folders' | 'setups' | 'renderText' | 'renderShell'>,
): readonly string[] {
  if (run.kind === 'argv') return argvCommand(run.argv.map(site.renderText), site.setups);
  return scriptCommand(join(site.folders.home, 'run.sh'), site.renderShell(run.text), site.setups);
}
