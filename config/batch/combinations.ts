import { cellsOf, paramsAt } from '../matrix.ts';
import type { Matrix, Params } from '../spec.ts';
import { placeholdersIn } from '../template.ts';

/** A row that stands for all rows with the same values of some axes: the first of them. */
export interface Combination {
  readonly row: number;
  readonly params: Params;
}

/**
 * One row for each distinct combination of the axes these templates name. A template that names no axis costs one
 * look, however many jobs there are.
 */
export function combinations(matrix: Matrix | undefined, templates: readonly string[]): readonly Combination[] {
  if (matrix === undefined) return [{ row: 0, params: {} }];
  const named = new Set(templates.flatMap((template) => (template.includes('{{') ? placeholdersIn(template) : [])));
  const used = matrix.axes.flatMap(({ name }, at) => (named.has(name) ? [at] : []));
  const rows = matrix.cells === undefined ? productRows(matrix, used) : distinctRows(matrix, used);
  return rows.map((row) => ({ row, params: paramsAt(matrix, row) }));
}

/** In a product, an axis that is not used stays at its first value. */
function productRows(matrix: Matrix, used: readonly number[]): number[] {
  const strides = matrix.axes.map((_, at) =>
    matrix.axes.slice(at + 1).reduce((product, axis) => product * axis.values.length, 1),
  );
  let rows = [0];
  for (const at of used) {
    const stride = strides[at] ?? 1;
    rows = rows.flatMap((row) => (matrix.axes[at]?.values ?? []).map((_, index) => row + index * stride));
  }
  return rows;
}

function distinctRows(matrix: Matrix, used: readonly number[]): number[] {
  const cells = cellsOf(matrix);
  const width = matrix.axes.length;
  const seen = new Set<string>();
  const rows: number[] = [];
  for (let row = 0; row * width < cells.length; row++) {
    const key = used.map((at) => cells[row * width + at]).join(' ');
    if (!seen.has(key)) rows.push(row);
    seen.add(key);
    if (used.length === 0) break;
  }
  return rows;
}
