import { expect, it } from 'vitest';
import { FrozenTree, type Grip } from '../../../node-agent/executor/freeze.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { until } from '../../kit/until.ts';

it('a stopped tree is watched on when one look at it fails, and no more when it is let go', async () => {
  const clock = new ManualClock();
  let holds = 0;
  const grip: Grip = {
    name: 'stop',
    mustWatch: true,
    isHeld: () => true,
    letGo: () => undefined,
    async hold() {
      holds += 1;
      if (holds === 2) throw new Error('ENOMEM: not enough memory, read');
      return { processes: 1, missed: [] };
    },
  };
  const tree = new FrozenTree(grip, clock);
  await tree.freeze();
  for (let looks = 2; looks < 5; looks++) {
    clock.advance(5_000);
    await until('it waits for the next look', () => holds === looks && clock.waits.length === 1);
  }
  tree.leave();
  expect(clock.waits).toEqual([]);
});
