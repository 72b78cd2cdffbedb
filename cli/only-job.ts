import { RefusedError, refused } from '../base/errors.ts';
import { nameKey } from '../base/names.ts';
import type { ResolvedJobFile } from '../config/job-file.ts';
import { locateJob, packCells, specIndexByName } from '../config/matrix.ts';
import type { BatchSpec, Matrix, Params } from '../config/spec.ts';
import { writeSpec } from '../config/spec-file.ts';

/** The job file as if it had this one job. Throws a refusal when there is none of that name. */
export function onlyJob(resolved: ResolvedJobFile, name: string): ResolvedJobFile {
  const index = specIndexByName(resolved.spec).get(nameKey(name));
  if (index === undefined) {
    throw new RefusedError(refused('not-found', `Cannot run the job "${name}": the job file makes none of that name`));
  }
  const { group, params } = locateJob(resolved.spec, index);
  const { matrix, ...rest } = group;
  const one = matrix ? { ...rest, matrix: oneRow(matrix, params), count: 1 } : { ...rest, count: 1 };
  const spec: BatchSpec = { ...resolved.spec, groups: [one] };
  return { ...resolved, spec, specBytes: writeSpec(spec) };
}

function oneRow(matrix: Matrix, params: Params): Matrix {
  const indices = matrix.axes.map(({ name, values }) => values.indexOf(params[name] ?? ''));
  return { axes: matrix.axes, cells: packCells([indices], matrix.axes.length) };
}
