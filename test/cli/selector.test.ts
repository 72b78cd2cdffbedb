import { describe, expect, it } from 'vitest';
import { readSelector } from '../../cli/selector.ts';

const bare = { states: [], reasons: [], where: [] };

describe('a selector', () => {
  it('names a batch, a job of it, or a job of a batch in a namespace', () => {
    expect(readSelector('heat', {})).toEqual([{ namespace: '', batch: 'heat', job: '', ...bare }]);
    expect(readSelector('heat/plate-*', {})).toEqual([{ namespace: '', batch: 'heat', job: 'plate-*', ...bare }]);
    expect(readSelector('lab/heat/plate', {})).toEqual([{ namespace: 'lab', batch: 'heat', job: 'plate', ...bare }]);
  });

  it('with one slash may mean two things, the namespace first', () => {
    expect(readSelector('a/b', {}).map(({ namespace, batch, job }) => [namespace, batch, job])).toEqual([
      ['a', 'b', ''],
      ['', 'a', 'b'],
    ]);
  });

  it('is narrowed by states, reasons and parameters, in lists or repeated', () => {
    const options = { state: ['failed,cancelled', 'held'], reason: ['exit'], where: ['mesh=fine', 'nu=a=b'] };
    expect(readSelector('heat', options)[0]).toMatchObject({
      states: ['failed', 'cancelled', 'held'],
      reasons: ['exit'],
      where: [
        { axis: 'mesh', value: 'fine' },
        { axis: 'nu', value: 'a=b' },
      ],
    });
  });

  it.each(['a/b/c/d', '/b', 'a//c', 'ba*/job'])('is refused when it reads "%s"', (text) => {
    expect(() => readSelector(text, {})).toThrow(`"${text}"`);
  });

  it('names what may stand there when a state or a parameter cannot be read', () => {
    expect(() => readSelector('a', { state: ['done'] })).toThrow(/"done".*succeeded/);
    expect(() => readSelector('a', { where: ['mesh'] })).toThrow(/AXIS=VALUE/);
  });
});
