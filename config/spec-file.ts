import { type Refusal, refused } from '../base/errors.ts';
import { nameProblem } from '../base/names.ts';
import { cellsOf, rowCount } from './matrix.ts';
import { type BatchSpec, batchSpec, jobsMax, type Matrix, specMaxBytes } from './spec.ts';

/** The spec as bytes: what is uploaded, hashed and pinned. */
export function writeSpec(spec: BatchSpec): Uint8Array {
  return Buffer.from(JSON.stringify(spec));
}

/** Reads a spec that came from outside: form, limits, and that its counts and indices hold together. */
export function readSpec(bytes: Uint8Array): BatchSpec | Refusal {
  if (bytes.length > specMaxBytes) {
    return refused('limit', `Cannot read the batch: its spec has ${bytes.length} bytes (at most ${specMaxBytes})`);
  }
  const parsed = parse(bytes);
  if (!parsed.success) return refused('invalid', `Cannot read the batch: its spec is damaged: ${parsed.problem}`);
  const problem = inconsistency(parsed.spec);
  return problem === undefined ? parsed.spec : refused('invalid', `Cannot read the batch: its spec ${problem}`);
}

function parse(bytes: Uint8Array): { success: true; spec: BatchSpec } | { success: false; problem: string } {
  let tree: unknown;
  try {
    tree = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    return { success: false, problem: error instanceof Error ? error.message : 'not JSON' };
  }
  const result = batchSpec.safeParse(tree);
  if (result.success) return { success: true, spec: result.data };
  const [issue] = result.error.issues;
  return { success: false, problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unreadable'}` };
}

function inconsistency(spec: BatchSpec): string | undefined {
  const jobs = spec.groups.reduce((sum, group) => sum + group.count, 0);
  if (jobs > jobsMax) return `has ${jobs} jobs (at most ${jobsMax})`;
  for (const [what, name] of [
    ['namespace', spec.namespace],
    ['name', spec.name],
  ] as const) {
    const problem = nameProblem(name);
    if (problem !== undefined) return `has a ${what} that ${problem}`;
  }
  for (const group of spec.groups) {
    const rows = group.matrix === undefined ? 1 : rowCount(group.matrix);
    if (rows !== group.count) return `counts ${group.count} jobs in a group of ${rows} rows`;
    if (group.matrix?.cells !== undefined && !cellsFit(group.matrix)) return 'has a row that points past its values';
  }
  return undefined;
}

function cellsFit(matrix: Matrix): boolean {
  const sizes = matrix.axes.map((axis) => axis.values.length);
  const cells = cellsOf(matrix);
  for (let at = 0; at < cells.length; at++) {
    if ((cells[at] ?? 0) >= (sizes[at % sizes.length] ?? 0)) return false;
  }
  return true;
}
