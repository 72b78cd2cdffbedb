import { z } from 'zod';
import { asWritten, notYet, section } from '../reading/section.ts';
import { readBytes, readDuration } from '../units.ts';

/** What people write in `labrun.yaml`. Units and defaults stand beside each key; `resolve-labrun.ts` gives it meaning. */

/** How long a build may take unless it says so, in milliseconds. */
export const buildTimeLimitMs = 3_600_000;
const timeLimitMaxMs = 366 * 86_400_000;

const text = z.string().min(1);
const countFrom = (least: number, most: number) => z.int().min(least).max(most);

const duration = z.string({ error: 'expected a time like "90s", "2h" or "1h30m"' }).transform((written, context) => {
  const ms = readDuration(written);
  if (ms !== undefined && ms > 0 && ms <= timeLimitMaxMs) return ms;
  context.addIssue({ code: 'custom', message: 'expected a time like "90s", "2h" or "1h30m", up to 366d' });
  return z.NEVER;
});

const amount = z
  .union([z.string(), z.int().nonnegative()], { error: 'expected an amount like "512M" or "8G"' })
  .transform((written, context) => {
    const bytes = readBytes(String(written));
    if (bytes !== undefined && Number.isSafeInteger(bytes)) return bytes;
    context.addIssue({ code: 'custom', message: 'expected an amount like "512M" or "8G"' });
    return z.NEVER;
  });

const environment = z.record(z.string(), asWritten('the value of a variable'));
const capabilities = z.array(z.string(), {
  error: 'expected a list of capabilities, like [python3, "openfoam>=1912"]',
});

/** A list of capabilities, for a whole node; or what a node must have, and how much of it. */
const needs = z.union(
  [
    capabilities,
    section({
      capabilities: capabilities.optional(),
      /** Physical cores. Default: the whole node, unless `ranks` or `threads` set it. */
      cpus: countFrom(1, 4_096).optional(),
      /** MPI ranks; `ranks` × `threads` sets `cpus`. */
      ranks: countFrom(1, 4_096).optional(),
      /** Threads of each rank. Default 1. */
      threads: countFrom(1, 4_096).optional(),
      /** Bytes. Default: no claim. */
      memory: amount.optional(),
      /** Bytes of scratch. Default: no claim. */
      disk: amount.optional(),
      gpus: countFrom(0, 64).optional(),
    }),
  ],
  { error: 'expected a list of capabilities, or a mapping of capabilities, cpus, ranks, threads, memory, disk, gpus' },
);

const files = z.array(
  z.union([text, section({ path: text, as: text.optional() })], { error: 'expected a path, or {path, as}' }),
  { error: 'expected a list of paths' },
);

const run = z.union([text, z.array(z.string()).min(1)], {
  error: 'expected the text of a script, or a list of words of a command',
});

const build = section({
  run,
  files: files.optional(),
  /** Default: the capabilities that every job needs, and the whole node. */
  needs: needs.optional(),
  /** Default: 1h. */
  timeLimit: duration.optional(),
});

const row = z.record(z.string(), asWritten('the value of an axis'), { error: 'expected a row: {axis: value, …}' });

/** The reserved keys of a matrix; every other one is an axis. */
export const matrixKeys: readonly string[] = ['rows', 'from', 'exclude', 'include'];

const matrix = z
  .object({
    /** Explicit rows, each with every axis. */
    rows: z.array(row).optional(),
    /** A CSV file whose header names the axes. */
    from: text.optional(),
    /** Leaves out every row that agrees with one of these, each of which may name some of the axes. */
    exclude: z.array(row).optional(),
    /** Whole rows besides. */
    include: z.array(row).optional(),
  })
  .catchall(z.array(asWritten('the value of an axis'), { error: 'expected the values of an axis, as a list' }));

/** `strict` hides homes, other jobs and the agent's files, and asks for a node that has bubblewrap. */
const isolation = z.enum(['strict', 'none'], { error: 'expected "strict" or "none"' });

const jobKeys = {
  run,
  needs: needs.optional(),
  files: files.optional(),
  /** Laid-out files in whose text `{{axis}}` is replaced. */
  templates: z.array(text).optional(),
  /** Patterns of what to keep besides `$LABRUN_ARCHIVE`. */
  archive: z.array(text).optional(),
  /** Files that must be there and not empty, or the job has failed. */
  expect: z.array(text).optional(),
  env: environment.optional(),
  /** Default: none. */
  timeLimit: duration.optional(),
  /** How often a failed job is tried again. Default 0. */
  retries: countFrom(0, 100).optional(),
  after: notYet('waiting for other jobs (after)'),
  slurm: notYet('settings for Slurm (slurm)'),
  isolation: isolation.optional(),
  priority: notYet('priority'),
};

const job = section({ name: text, matrix: matrix.optional(), ...jobKeys });

export const labrunFile = section({
  $schema: z.string().optional(),
  name: text,
  /** Default: your user name. */
  namespace: text.optional(),
  env: environment.optional(),
  build: build.optional(),
  jobs: z.array(job).min(1).optional(),
  /** With `matrix`, short for one entry of `jobs`; its name is `job` unless stated. */
  job: section({ name: text.optional(), ...jobKeys }).optional(),
  matrix: matrix.optional(),
  /** Most jobs of the batch that run at once. Default: no limit. */
  maxRunning: countFrom(1, 1_000_000).optional(),
  /** At how many failed jobs the rest is held. Default: of more than 20 jobs, when the first 10 to end have all failed. */
  maxFailures: z
    .union([countFrom(1, 1_000_000), z.literal('none')], { error: 'expected a number of jobs (1 to 1000000), or none' })
    .optional(),
  notify: notYet('telling people when a batch has ended (notify)'),
  priority: notYet('priority'),
  /** Of the build and of every job that states none. Default: none. */
  isolation: isolation.optional(),
  slurm: notYet('settings for Slurm (slurm)'),
});

export type LabrunFile = z.output<typeof labrunFile>;
export type JobEntry = Omit<z.output<typeof job>, 'name'> & { readonly name?: string | undefined };
export type NeedsEntry = z.output<typeof needs>;
export type FilesEntry = z.output<typeof files>;
export type MatrixEntry = z.output<typeof matrix>;
export type RunEntry = z.output<typeof run>;
