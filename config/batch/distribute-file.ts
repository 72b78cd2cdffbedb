import { z } from 'zod';
import { section } from '../reading/section.ts';

/** What people write in `distribute-jobs.yaml`, key by key as that tool takes it. `resolve-distribute.ts` gives it meaning. */

const text = z.string().min(1);

const file = z.union([text, section({ path: text, alias: text.nullish() })], {
  error: 'expected a path, or {path, alias}',
});

/** Accepted so that files run unmodified, and checked; labrun has no use for it. Other keys pass, as they do there. */
const slurm = z.looseObject({
  job_name: z.string().nullish(),
  output: z.string().nullish(),
  nodes: z.int().nullish(),
  ntasks: z.int().nullish(),
  cpus_per_task: z.int().nullish(),
  mem_per_cpu: z.string().nullish(),
  hint: z.string().nullish(),
  time: z.string().nullish(),
  partition: z.string().nullish(),
  account: z.string().nullish(),
  mail_user: z.string().nullish(),
  mail_type: z.string().nullish(),
});

const python = section({
  initialize: section({ build_file: file, required_files: z.array(file).optional() }),
  jobs: z.array(section({ name: text, file, required_files: z.array(file).optional(), slurm: slurm.nullish() })).min(1),
});

const apptainer = section({
  initialize: section({
    sif: file,
    required_files: z.array(file).optional(),
    /** Folders inside the container that must be writable. */
    required_mounts: z.array(text).optional(),
  }),
  jobs: z.array(section({ name: text, required_files: z.array(file).optional(), slurm: slurm.nullish() })).min(1),
});

export const distributeFile = section({
  meta: section({
    batch_name: text,
    namespace: text,
    capabilities: z.array(z.string()),
    /** Told when the batch has ended. */
    matrix: z.string().nullish(),
  }),
  python: python.optional(),
  apptainer: apptainer.optional(),
  slurm: slurm.nullish(),
});

export type DistributeFile = z.output<typeof distributeFile>;
export type DistributeFileEntry = z.output<typeof file>;

/** Whether the file is one of distribute's, by what is in it. */
export function isDistribute(tree: unknown): boolean {
  if (typeof tree !== 'object' || tree === null) return false;
  const has = (key: string) => Object.hasOwn(tree, key);
  return (has('meta') && !has('jobs') && !has('job')) || has('python') || has('apptainer');
}
