import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combinations } from '../../../config/batch/combinations.ts';
import { packCells, paramsAt, rowCount } from '../../../config/matrix.ts';
import type { Matrix } from '../../../config/spec.ts';
import { renderText } from '../../../config/template.ts';

const names = ['nu', 'mesh', 'dt'];
const axes = fc.tuple(...names.map((name) => fc.integer({ min: 1, max: 4 }).map((size) => ({ name, size }))));
const matrices = fc
  .tuple(axes, fc.option(fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 20 })))
  .map(([sizes, rows]): Matrix => {
    const list = sizes.map(({ name, size }) => ({
      name,
      values: Array.from({ length: size }, (_, at) => `${name}${at}`),
    }));
    if (rows === null) return { axes: list };
    const cells = rows.map((row) => row.map((cell, at) => cell % (sizes[at]?.size ?? 1)));
    return { axes: list, cells: packCells(cells, list.length) };
  });

describe('the combinations that a template sees', () => {
  it('are each rendering of it once, as if every row had been looked at', () => {
    fc.assert(
      fc.property(matrices, fc.subarray(names), (matrix, used) => {
        const template = ['x', ...used.map((name) => `{{${name}}}`)].join('/');
        const all = Array.from({ length: rowCount(matrix) }, (_, row) => renderText(template, paramsAt(matrix, row)));
        const seen = combinations(matrix, [template]).map(({ params }) => renderText(template, params));
        expect(new Set(seen)).toEqual(new Set(all));
        expect(seen.length).toBe(new Set(all).size);
      }),
    );
  });

  it('cost one look where the template names no axis, however many rows there are', () => {
    const values = Array.from({ length: 1_000 }, (_, at) => `${at}`);
    const matrix = {
      axes: [
        { name: 'a', values },
        { name: 'b', values },
      ],
    };
    expect(combinations(matrix, ['plain', '{{other}}'])).toEqual([{ row: 0, params: { a: '0', b: '0' } }]);
  });
});
