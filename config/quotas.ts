import { z } from 'zod';
import { nameKey, nameProblem } from '../base/names.ts';
import { section } from './reading/section.ts';
import { amountFrom } from './reading/settings-file.ts';

/** What one namespace may take on the head's disks, in bytes; infinite where nothing was said. */
export interface Quota {
  /** Results in the archive, those of replaced batches and earlier attempts included. */
  readonly archiveBytes: number;
  /** Files of running jobs that travel before their job has ended. */
  readonly stagingBytes: number;
  /** Input files, uploads under way included. */
  readonly inputsBytes: number;
}

/** The quotas of all namespaces. */
export interface Quotas {
  readonly defaults: Quota;
  /** By the key of their name. */
  readonly byNamespace: ReadonlyMap<string, Quota>;
}

/** Stands for every namespace that is not named. */
const defaultName = 'default';

const quota = section({
  archive: amountFrom('1M').optional(),
  staging: amountFrom('1M').optional(),
  inputs: amountFrom('1M').optional(),
});

/** `quotas` of head.yaml: by namespace, and `default`. */
export const quotasSetting = z
  .record(
    z.string().superRefine((name, context) => {
      const problem = nameProblem(name);
      if (problem) context.addIssue({ code: 'custom', message: `no namespace can have this name: it ${problem}` });
    }),
    quota,
  )
  .default({})
  .transform((written): Quotas => {
    const { [defaultName]: general, ...named } = written;
    const defaults = quotaFrom(general ?? {}, unlimited);
    const byNamespace = Object.entries(named).map(([name, own]) => [nameKey(name), quotaFrom(own, defaults)] as const);
    return { defaults, byNamespace: new Map(byNamespace) };
  });

const unlimited: Quota = {
  archiveBytes: Number.POSITIVE_INFINITY,
  stagingBytes: Number.POSITIVE_INFINITY,
  inputsBytes: Number.POSITIVE_INFINITY,
};

/** The quotas of a head whose settings name none. */
export const noQuotas: Quotas = { defaults: unlimited, byNamespace: new Map() };

/** What holds for a namespace. */
export function quotaOf(quotas: Quotas, namespace: string): Quota {
  return quotas.byNamespace.get(nameKey(namespace)) ?? quotas.defaults;
}

function quotaFrom({ archive, staging, inputs }: z.output<typeof quota>, otherwise: Quota): Quota {
  return {
    archiveBytes: archive ?? otherwise.archiveBytes,
    stagingBytes: staging ?? otherwise.stagingBytes,
    inputsBytes: inputs ?? otherwise.inputsBytes,
  };
}
