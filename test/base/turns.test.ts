import { describe, expect, it } from 'vitest';
import { Turns } from '../../base/turns.ts';

describe('turns', () => {
  it('let no more than the limit work at once, in the order they came, and go on after a failure', async () => {
    const turns = new Turns(2);
    const begun: number[] = [];
    let [now, most] = [0, 0];
    const work = (at: number) =>
      turns.take(async () => {
        begun.push(at);
        most = Math.max(most, ++now);
        await Promise.resolve();
        now -= 1;
        if (at === 1) throw new Error('no');
        return at;
      });
    const ended = await Promise.allSettled([0, 1, 2, 3, 4].map(work));
    expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', ...Array(3).fill('fulfilled')]);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
    expect(most).toBe(2);
  });
});
