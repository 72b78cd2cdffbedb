import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameKey, nameProblem } from '../../../base/names.ts';
import { namesPlainlyDistinct } from '../../../config/batch/distinct-names.ts';
import { packCells, paramsAt } from '../../../config/matrix.ts';
import { jobNameOf } from '../../../config/template.ts';
import { aGroup, aMatrix } from '../../kit/spec.ts';

const value = fc.string({ unit: fc.constantFrom('a', 'A', '1', '_', '-', '/', '.'), minLength: 0, maxLength: 4 });
const values = fc.uniqueArray(value, { minLength: 1, maxLength: 5 });
const template = fc.constantFrom(
  'run-nu-{{nu}}_mesh-{{mesh}}',
  'r{{nu}}{{mesh}}',
  '{{nu}}_{{mesh}}',
  'r-{{nu}}',
  'r{{mesh}}-{{nu}}-x',
  'r',
);

describe('names that need not be looked at', () => {
  it('are good and distinct whenever it is said that they plainly are', () => {
    let plain = 0;
    fc.assert(
      fc.property(template, values, values, (name, nu, mesh) => {
        const group = aGroup({ name, matrix: aMatrix({ nu, mesh }) });
        if (!namesPlainlyDistinct(group)) return;
        plain++;
        const names = Array.from({ length: group.count }, (_, row) => jobNameOf(group, paramsAt(group.matrix, row)));
        expect(new Set(names.map(nameKey)).size).toBe(group.count);
        expect(names.map(nameProblem).filter(Boolean)).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
    expect(plain).toBeGreaterThan(20);
  });

  it('are those of an ordinary sweep', () => {
    const matrix = aMatrix({ nu: ['1e-5', '0.10'], mesh: ['coarse', 'fine'] });
    expect(namesPlainlyDistinct(aGroup({ matrix }))).toBe(true);
    expect(namesPlainlyDistinct(aGroup({ matrix, name: 'run-{{nu}}' }))).toBe(false);
    expect(namesPlainlyDistinct(aGroup({ matrix: aMatrix({ nu: ['x'.repeat(130)] }) }))).toBe(false);
    expect(namesPlainlyDistinct(aGroup({ matrix: { ...matrix, cells: packCells([[0, 0]], 2) } }))).toBe(false);
  });
});
