import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jobCount, locateJob, packCells, paramsAt, rowCount, specIndexByName } from '../../config/matrix.ts';
import type { Matrix, Params } from '../../config/spec.ts';
import { aGroup, aMatrix, aSpec } from '../kit/spec.ts';

const values = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 });
const axes = fc
  .uniqueArray(fc.constantFrom('nu', 'mesh', 'dt', 'seed'), { minLength: 1, maxLength: 4 })
  .chain((names) => fc.tuple(...names.map((name) => values.map((list) => ({ name, values: list })))));

describe('a matrix', () => {
  it('is the product of its axes, the last changing fastest', () => {
    fc.assert(
      fc.property(axes, (list) => {
        const matrix = { axes: list };
        expect(allRows(matrix)).toEqual(expand(list));
      }),
    );
  });

  it('gives back explicit rows as they were packed', () => {
    fc.assert(
      fc.property(
        axes.chain((list) =>
          fc.tuple(
            fc.constant(list),
            fc.array(fc.tuple(...list.map((axis) => fc.nat({ max: axis.values.length - 1 }))), { maxLength: 20 }),
          ),
        ),
        ([list, rows]) => {
          const matrix = { axes: list, cells: packCells(rows, list.length) };
          const naive = rows.map((row) =>
            Object.fromEntries(list.map((axis, at) => [axis.name, axis.values[row[at] ?? -1]])),
          );
          expect(allRows(matrix)).toEqual(naive);
        },
      ),
    );
  });
});

describe('the jobs of a spec', () => {
  const spec = aSpec({
    groups: [
      aGroup({ name: 'first' }),
      aGroup({ name: 'run-{{mesh}}', matrix: aMatrix({ mesh: ['coarse', 'fine'] }) }),
      aGroup({ name: 'last' }),
    ],
  });

  it('are numbered through the groups in the order written', () => {
    expect(jobCount(spec)).toBe(4);
    expect([0, 1, 2, 3].map((index) => locateJob(spec, index).name)).toEqual([
      'first',
      'run-coarse',
      'run-fine',
      'last',
    ]);
    expect(locateJob(spec, 2)).toMatchObject({ groupIndex: 1, row: 1, params: { mesh: 'fine' } });
  });

  it('are a bug to ask for where there are none', () => {
    expect(() => locateJob(spec, 4)).toThrow('a spec has a job 4');
    expect(() => locateJob(spec, -1)).toThrow('a spec has a job -1');
  });

  it('are found by name, whatever the case', () => {
    expect(specIndexByName(spec).get('run-fine')).toBe(2);
    expect(specIndexByName(aSpec({ groups: [aGroup({ name: 'Polar' })] })).get('polar')).toBe(0);
  });

  it('are found quickly among 20,000 groups', () => {
    const many = aSpec({ groups: Array.from({ length: 20_000 }, (_, at) => aGroup({ name: `job${at}` })) });
    const started = performance.now();
    for (let index = 0; index < 20_000; index++) locateJob(many, index);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

function allRows(matrix: Matrix): Params[] {
  return Array.from({ length: rowCount(matrix) }, (_, row) => paramsAt(matrix, row));
}

function expand(list: readonly { name: string; values: readonly string[] }[]): Params[] {
  const [first, ...rest] = list;
  if (first === undefined) return [{}];
  return first.values.flatMap((value) => expand(rest).map((params) => ({ [first.name]: value, ...params })));
}
