import { describe, expect, it } from 'vitest';
import { packCells } from '../../config/matrix.ts';
import { batchSpec, specMaxBytes } from '../../config/spec.ts';
import { readSpec, writeSpec } from '../../config/spec-file.ts';
import { aBuild, aGroup, aMatrix, aSpec } from '../kit/spec.ts';

describe('a spec as bytes', () => {
  it('comes back as it was written', () => {
    const spec = aSpec({ build: aBuild(), groups: [aGroup({ matrix: aMatrix({ nu: ['1e-5', '0.10'] }) })] });
    expect(readSpec(writeSpec(spec))).toEqual(spec);
  });

  it('is refused when its counts, cells or names do not hold together', () => {
    const bad = (change: object) => readSpec(Buffer.from(JSON.stringify({ ...aSpec(), ...change })));
    expect(bad({ groups: [{ ...aGroup(), count: 2 }] })).toMatchObject({
      kind: 'refused',
      code: 'invalid',
      message: 'Cannot read the batch: its spec counts 2 jobs in a group of 1 rows',
    });
    const matrix = { ...aMatrix({ nu: ['a'] }), cells: packCells([[0], [1]], 1) };
    expect(bad({ groups: [aGroup({ matrix, count: 2 })] })).toMatchObject({
      message: 'Cannot read the batch: its spec has a row that points past its values',
    });
    expect(bad({ namespace: '../up' })).toMatchObject({ code: 'invalid' });
    expect(bad({ groups: [] })).toMatchObject({ code: 'invalid' });
    expect(bad({ format: 2 })).toMatchObject({ code: 'invalid' });
  });

  it('is refused when it is no JSON, too long, or has too many jobs', () => {
    expect(readSpec(Buffer.from('{'))).toMatchObject({ kind: 'refused', code: 'invalid' });
    expect(readSpec(new Uint8Array(specMaxBytes + 1))).toMatchObject({ code: 'limit' });
    const axis = Array.from({ length: 1_001 }, (_, at) => `${at}`);
    const spec = aSpec({ groups: [aGroup({ matrix: aMatrix({ a: axis, b: axis }) })] });
    expect(readSpec(writeSpec(spec))).toMatchObject({ kind: 'refused', code: 'invalid' });
  });

  it('takes keys it does not know, so that a newer submitter is understood', () => {
    const spec = aSpec();
    expect(readSpec(Buffer.from(JSON.stringify({ ...spec, newer: true })))).toEqual(spec);
  });

  it('is quick: a product of 100,000 jobs, and 100,000 rows of their own', () => {
    const numbers = (size: number) => Array.from({ length: size }, (_, at) => `${at}`);
    const product = aSpec({ groups: [aGroup({ matrix: aMatrix({ a: numbers(400), b: numbers(250) }) })] });
    expect(milliseconds(() => readSpec(writeSpec(product)))).toBeLessThan(3_000);
    const rows = numbers(100_000).map((_, at) => [at, at % 3]);
    const matrix = { ...aMatrix({ a: numbers(100_000), b: numbers(3) }), cells: packCells(rows, 2) };
    const explicit = batchSpec.parse({ ...aSpec(), groups: [aGroup({ matrix, count: 100_000 })] });
    expect(milliseconds(() => readSpec(writeSpec(explicit)))).toBeLessThan(15_000);
  });
});

function milliseconds(work: () => unknown): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}
