import { z } from 'zod';

/**
 * The resolved spec: a batch after reading, expanding and hashing, with nothing left to look up. It is what the CLI
 * uploads (as JSON, a blob pinned by the batch), what the head queues from, and what agents run. Readers ignore keys
 * they do not know; a spec that *needs* something new names it in `features`.
 *
 * Texts marked "template" may hold `{{axis}}`; `config/template.ts` renders them with a job's parameters.
 */

/** Largest resolved spec, in bytes. */
export const specMaxBytes = 64 * 2 ** 20;
/** Most jobs in a batch. */
export const jobsMax = 1_000_000;

/** What this version of labrun can read in a spec and run on a node. */
export const specFeatures: readonly string[] = [
  'runtime.command',
  'runtime.python',
  'runtime.apptainer',
  'isolation.strict',
];

const count = z.int().nonnegative();
const taggedHash = z.string().regex(/^blake3:[0-9a-f]{64}$/);
const env = z.record(z.string(), z.string());

const capabilityNeed = z.object({
  name: z.string(),
  comparison: z.enum(['>=', '>', '=', '<', '<=']).optional(),
  version: z.string().optional(),
});

const needs = z.object({
  capabilities: z.array(capabilityNeed),
  /** Physical cores; 0: the whole node. */
  cpus: count,
  ranks: count,
  threads: count,
  memoryBytes: count,
  diskBytes: count,
  gpus: count,
});

/** A file or folder to lay out. Both are templates; `source` is a key of `sources` once rendered. */
const input = z.object({
  source: z.string(),
  /** Path on the node, relative to the place its runtime gives it; '' is that place itself (what a glob found goes there). */
  as: z.string(),
});

const run = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('script'), text: z.string() }),
  z.object({ kind: z.literal('argv'), argv: z.array(z.string()).min(1) }),
]);

/** How a job is started. One file in `node-agent/runtimes` each. */
const runtime = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('command'), run }),
  /** `python3 <as> N` in distribute's layout; the script is laid out like an input. */
  z.object({ kind: z.literal('python'), script: input }),
  /** `apptainer run --app distribute … N` with distribute's mounts. */
  z.object({ kind: z.literal('apptainer'), image: input, mounts: z.array(z.string()) }),
]);

/** Absent: none. Its spec names the feature `isolation.strict`, and its needs the capability `bubblewrap`. */
const isolation = z.literal('strict').optional();

const build = z.object({
  runtime: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('command'), run }),
    z.object({ kind: z.literal('python'), script: input }),
  ]),
  inputs: z.array(input),
  needs,
  timeLimitMs: count,
  isolation,
});

/** What one path of the job file stands for: a file (one entry with the path ''), or a folder's files and folders. */
const sourceEntry = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file'), path: z.string(), hash: taggedHash, sizeBytes: count, mode: count }),
  z.object({ kind: z.literal('folder'), path: z.string(), mode: count }),
  z.object({ kind: z.literal('link'), path: z.string(), target: z.string() }),
]);

const matrix = z.object({
  axes: z.array(z.object({ name: z.string(), values: z.array(z.string()) })),
  /**
   * Base64 of little-endian uint32: for each row, one index into each axis' values. Absent: the full product, the
   * last axis changing fastest.
   */
  cells: z.base64().optional(),
});

const group = z.object({
  /** Template of the jobs' names; values are made fit for a name by `config/template.ts`. */
  name: z.string(),
  /** Absent: one job without parameters. */
  matrix: matrix.optional(),
  count: count.min(1),
  needs,
  runtime,
  inputs: z.array(input),
  /** Laid-out paths (templates) whose text is rendered. */
  templates: z.array(z.string()),
  env,
  /** Patterns of what to keep besides `$LABRUN_ARCHIVE` (templates). */
  archive: z.array(z.string()),
  /** Paths that must be there and not empty (templates). */
  expect: z.array(z.string()),
  /** 0: none. */
  timeLimitMs: count,
  retries: count,
  isolation,
});

export const batchSpec = z.object({
  format: z.literal(1),
  /** What a node's agent must know to run this. */
  features: z.array(z.string()),
  origin: z.enum(['labrun', 'distribute']),
  namespace: z.string(),
  name: z.string(),
  env,
  /** 0: no limit. */
  maxRunning: count,
  /** At how many failed jobs the rest is held; 0: never. Not stated: the head has a rule. */
  maxFailures: count.optional(),
  /** Every path that inputs name, once rendered, and what it stood for at submit. */
  sources: z.record(z.string(), z.array(sourceEntry)),
  build: build.optional(),
  /** distribute's `initial_files`: laid out for the build and every job. */
  initialInputs: z.array(input),
  groups: z.array(group).min(1),
  notify: z.array(z.string()),
});

export type BatchSpec = Readonly<z.infer<typeof batchSpec>>;
export type JobGroup = BatchSpec['groups'][number];
export type BuildSpec = NonNullable<BatchSpec['build']>;
export type Matrix = NonNullable<JobGroup['matrix']>;
export type RuntimeSpec = JobGroup['runtime'];
export type RunSpec = z.infer<typeof run>;
export type Input = z.infer<typeof input>;
export type SourceEntry = z.infer<typeof sourceEntry>;
export type Needs = z.infer<typeof needs>;
export type CapabilityNeed = z.infer<typeof capabilityNeed>;

/** A job's parameters: the axes in the order written, values as written. */
export type Params = Readonly<Record<string, string>>;
