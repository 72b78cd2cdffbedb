import { join, resolve } from 'node:path';
import { batchOf, silenced } from './answer.ts';
import { exitCodes } from './exit.ts';
import { loadJobFile } from './job-file.ts';
import { onlyJob } from './only-job.ts';
import type { Printer } from './print.ts';
import { withPrivateCluster } from './private-cluster.ts';
import { pull } from './pull.ts';
import { submitResolved } from './submit.ts';

/** Runs a job file, or one job of it, on this machine alone, and leaves the results here. Exits 1 when a job failed. */
export async function run(
  [file]: readonly string[],
  options: {
    readonly job?: string;
    readonly to?: string;
    readonly config?: string;
    readonly where?: readonly string[];
    readonly json?: boolean;
  },
  print: Printer,
): Promise<number> {
  const whole = await loadJobFile(file, options, print);
  const resolved = options.job === undefined ? whole : onlyJob(whole, options.job);
  const configFile = options.config === undefined ? undefined : resolve(options.config);
  const { namespace, name } = resolved.spec;
  const to = options.to ?? '.';
  const shown = options.json ? silenced(print) : print;
  return withPrivateCluster({ agents: ['here'], configFile }, async ({ head, stop }) => {
    const code = await submitResolved(resolved, { head, wait: true }, shown, { stop, logsBelow: join(to, name) });
    const pulled = await pull([`${namespace}/${name}`], { head, to }, shown);
    if (options.json) print.json({ ...(await batchOf(head, namespace, name)), folder: resolve(to, name) });
    return pulled === exitCodes.done ? code : pulled;
  });
}
