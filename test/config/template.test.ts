import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitForName, jobNameOf, placeholdersIn, renderShell, renderText } from '../../config/template.ts';

describe('templates', () => {
  it('replaces axes, with or without blanks in the braces, and leaves other braces alone', () => {
    const params = { nu: '1e-5', mesh: 'fine' };
    expect(renderText('{{nu}} {{ mesh }} {{other}} {{.Name}} {x}', params)).toBe('1e-5 fine {{other}} {{.Name}} {x}');
  });

  it('never takes a value from what every object inherits', () => {
    expect(renderText('{{constructor}} {{toString}}', {})).toBe('{{constructor}} {{toString}}');
  });

  it('does not replace twice: a value that looks like a placeholder stays as it is', () => {
    expect(renderText('{{a}}', { a: '{{b}}', b: 'no' })).toBe('{{b}}');
    expect(renderText('{{a}}', { a: "$& $' $1" })).toBe("$& $' $1");
  });

  it('puts any value into script text as exactly one word of a real shell', () => {
    const value = fc.string({ unit: 'binary', maxLength: 30 }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 8 }), (values) => {
        const params = Object.fromEntries(values.map((text, at) => [`a${at}`, text]));
        const words = values.map((_, at) => `{{a${at}}}`).join(' ');
        const script = renderShell(`printf '%s\\0' ${words}`, params);
        const said = execFileSync('bash', ['-c', script]).toString('utf8').split('\0').slice(0, -1);
        expect(said).toEqual(values.map((text) => Buffer.from(text).toString('utf8')));
      }),
      { numRuns: 40 },
    );
  });

  it('does not let a number before a redirection become a file descriptor, nor a value an assignment', () => {
    expect(renderShell('echo {{n}}>out', { n: '2' })).toBe("echo '2'>out");
    expect(renderShell('{{v}} env', { v: 'PATH=/x' })).toBe("'PATH=/x' env");
    expect(renderShell('echo "nu={{nu}}" > out', { nu: '1e-5' })).toBe('echo "nu=1e-5" > out');
  });

  it('quotes the empty value, which would otherwise be no word at all', () => {
    expect(renderShell('x {{a}} y', { a: '' })).toBe("x '' y");
  });

  it('makes values fit for a name', () => {
    expect(fitForName('a b/c:ü')).toBe('a_b_c_');
    expect(jobNameOf({ name: 'run-nu-{{nu}}' }, { nu: '1/2' })).toBe('run-nu-1_2');
  });

  it('lists the axes of a text once each', () => {
    expect(placeholdersIn('{{b}} {{a}} {{ b }}')).toEqual(['b', 'a']);
  });
});
