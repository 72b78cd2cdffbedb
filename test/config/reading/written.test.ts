import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from '../../../config/reading/nearest.ts';
import { lineOf } from '../../../config/reading/problems.ts';
import { Written, writtenMaxBytes } from '../../../config/reading/written.ts';

describe('a file as it was written', () => {
  it('reads whatever JSON can say', () => {
    const value = fc.jsonValue().filter((tree) => !JSON.stringify(tree).includes('__proto__'));
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 2, '\t'), (tree, indent) => {
        const text = JSON.stringify(tree, null, indent);
        const written = new Written('a.json', text);
        expect(written.problems.map(lineOf)).toEqual([]);
        expect(written.tree).toEqual(JSON.parse(text));
      }),
    );
  });

  it('says where a value stands, and the nearest place to one that is missing', () => {
    const written = new Written('a.yaml', 'one:\n  - x\n  - two: 3\n');
    written.problem(['one', 1, 'two'], 'here');
    written.problem(['one', 1, 'gone', 5], 'near');
    written.keyProblem(['one'], 'the key');
    expect(written.problems.map(lineOf)).toEqual([
      'a.yaml:3:10: one[1].two: here',
      'a.yaml:3:5: one[1].gone[5]: near',
      'a.yaml:1:1: one: the key',
    ]);
  });

  it('never fails otherwise than by telling, whatever the text is', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab:-?[]{}&*!|>\'"%@`#,\n \t{{}}~<='), maxLength: 60 });
    fc.assert(
      fc.property(text, (anything) => {
        const written = new Written('a.yaml', anything);
        for (const problem of written.problems) expect(problem.line).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });

  it('is not read when it is too large', () => {
    const written = new Written('a.yaml', ' '.repeat(writtenMaxBytes + 1));
    expect(written.problems.map(lineOf)).toEqual([expect.stringContaining('has more than 16 MiB')]);
  });

  it('shares what an alias names, so that anchors that multiply are refused at once', () => {
    const lines = [
      'a0: &a0 [x]',
      ...Array.from({ length: 60 }, (_, at) => `a${at + 1}: &a${at + 1} [*a${at}, *a${at}]`),
    ];
    const started = performance.now();
    const written = new Written('a.yaml', lines.join('\n'));
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(written.problems).toHaveLength(1);
  });
});

describe('the nearest word', () => {
  it('is one that is a slip away', () => {
    expect(nearest('tmplates', ['files', 'templates'])).toBe('templates');
    expect(nearest('flies', ['files', 'templates'])).toBe('files');
    expect(nearest('TimeLimit', ['timeLimit'])).toBe('timeLimit');
  });

  it('is none when all are far', () => {
    expect(nearest('colour', ['files', 'run'])).toBeUndefined();
    expect(nearest('x', ['run'])).toBeUndefined();
  });
});
