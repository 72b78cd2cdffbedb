import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { examplesFolder } from '../base/assets.ts';
import { systemClock } from '../base/clock.ts';
import { formatDuration } from '../config/units.ts';
import { batchOf, silenced } from './answer.ts';
import { exitCodes, usageError } from './exit.ts';
import { loadJobFile } from './job-file.ts';
import { nodes } from './nodes.ts';
import type { Printer } from './print.ts';
import { withPrivateCluster } from './private-cluster.ts';
import { pull } from './pull.ts';
import { results } from './results.ts';
import { submitResolved } from './submit.ts';

/** Shows a whole life of a batch on this machine: a head, two agents, a sweep, its results. Keeps only the results. */
export async function demo(
  _: readonly string[],
  options: { readonly gfortran?: boolean; readonly openfoam?: boolean; readonly json?: boolean },
  out: Printer,
): Promise<number> {
  if (options.gfortran && options.openfoam) throw usageError('Cannot show both at once: choose one');
  const example = options.gfortran ? 'gfortran' : options.openfoam ? 'openfoam' : 'heat';
  const startedMs = systemClock.monotonicMs();
  const file = join(examplesFolder(), example, 'labrun.yaml');
  const print = options.json ? silenced(out) : out;
  const { bold } = print.colour;
  const resolved = await loadJobFile(file, {}, print);
  const { namespace, name } = resolved.spec;
  return withPrivateCluster({ agents: ['desk-1', 'desk-2'] }, async ({ head, stop }) => {
    print.line(bold('A head and two agents run on this machine:'));
    await nodes([], { head }, print);
    print.line(bold(`\nlabrun submit ${file} --wait`));
    const code = await submitResolved(resolved, { head, wait: true }, print, { stop });
    if (code !== exitCodes.done) return code;
    print.line(bold(`\nlabrun pull ${namespace}/${name}`));
    const to = await mkdtemp(join(tmpdir(), 'labrun-demo-'));
    await pull([`${namespace}/${name}`], { head, to }, print);
    print.line(bold(`\nlabrun results ${namespace}/${name}`));
    await results([`${namespace}/${name}`], { head }, print);
    print.line(`\nDone in ${formatDuration(systemClock.monotonicMs() - startedMs)}. What you may look at:`);
    print.line(`  the results   ${join(to, name)}`);
    print.line(`  as a table    ${join(to, name, 'jobs.csv')}`);
    print.line(`  the job file  ${file}`);
    if (options.json) out.json({ ...(await batchOf(head, namespace, name)), folder: join(to, name), jobFile: file });
    return exitCodes.done;
  });
}
