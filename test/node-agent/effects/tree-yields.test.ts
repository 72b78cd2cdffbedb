import { expect, it } from 'vitest';
import { deferred } from '../../../base/deferred.ts';
import { openLog } from '../../../base/log.ts';
import { noWish, TreeYields, type Wish, type YieldingTree } from '../../../node-agent/effects/tree-yields.ts';
import type { Frozen, Throttle, ThrottleFacts } from '../../../node-agent/ports.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { until } from '../../kit/until.ts';

const frozen: Frozen = { processes: 1, tookMs: 0, missed: [] };
const facts: ThrottleFacts = { cores: 'cgroup', weight: 'cgroup', io: 'class', missed: [] };
const pause: Wish = { ...noWish, step: 'pause' };
const half: Wish = { step: 'throttle', cores: 2, exempt: new Set() };

/** Trees of 3 and 1 cores whose executor writes down what is asked of it. */
function world(options: { failures?: number; throttled?: Promise<void> } = {}) {
  const asked: string[] = [];
  const paces: string[] = [];
  let failures = options.failures ?? 0;
  const tree = (home: string, cpus: number, user: string): YieldingTree => {
    return { home, cpus, user, usesGpu: home === 'a', paced: (share) => paces.push(`${home} ${share}`) };
  };
  const trees = [tree('a', 3, 'ada'), tree('b', 1, 'bob')];
  const clock = new ManualClock();
  const yields = new TreeYields({
    clock,
    log: openLog('test', 'fatal'),
    trees: () => trees,
    executor: {
      async freeze(home) {
        if (failures-- > 0) throw new Error('the kernel does not want to');
        asked.push(`freeze ${home}`);
        return frozen;
      },
      async thaw(home) {
        asked.push(`thaw ${home}`);
      },
      async throttle(home, throttle: Throttle | undefined) {
        asked.push(`throttle ${home} ${throttle?.cores ?? 'no'}`);
        await options.throttled;
        return facts;
      },
    },
  });
  return { asked, paces, trees, yields, clock, tree };
}

it('stops every tree once, and lets each go on', async () => {
  const { asked, paces, yields } = world();
  await yields.want(pause);
  await yields.want(pause);
  expect(asked).toEqual(['freeze a', 'freeze b']);
  expect(paces).toEqual(['a 0', 'b 0']);
  await yields.want(noWish);
  expect(asked.slice(2).sort()).toEqual(['thaw a', 'thaw b', 'throttle a no', 'throttle b no']);
  expect(paces.slice(2).sort()).toEqual(['a 1', 'b 1']);
});

it('says that a tree runs as soon as it does, also while its cores are still being given back', async () => {
  const given = deferred<void>();
  const { paces, yields } = world({ throttled: given.promise });
  await yields.want(pause);
  const done = yields.want(half);
  await until('both run', () => paces.length === 4);
  expect(paces.slice(2).sort()).toEqual(['a 1', 'b 1']);
  given.resolve();
  await done;
  expect(paces.slice(4).sort()).toEqual(['a 0.5', 'b 0.5']);
});

it('divides the cores that are left in proportion to what was granted', async () => {
  const { asked, paces, yields } = world();
  await yields.want(half);
  expect(asked.filter((what) => what.startsWith('throttle')).sort()).toEqual(['throttle a 1.5', 'throttle b 0.5']);
  expect(paces.sort()).toEqual(['a 0.5', 'b 0.5']);
});

it('leaves jobs of the owner alone, and gives the others what is left for them', async () => {
  const { asked, yields } = world();
  await yields.want({ ...half, exempt: new Set(['ada']) });
  expect(asked.filter((what) => what.startsWith('throttle')).sort()).toEqual(['throttle a no', 'throttle b 1']);
});

it('stops only those that use a GPU, when that is what somebody needs', async () => {
  const { asked, yields } = world();
  await yields.want({ ...half, step: 'pause', withoutGpu: 'throttle' });
  expect(asked).toEqual(['freeze a', 'thaw b', 'throttle b 0.5']);
  await yields.want(pause);
  expect(asked.slice(3)).toEqual(['freeze b']);
});

it('wants the same of a tree that starts later', async () => {
  const { asked, trees, tree, yields } = world();
  await yields.want(pause);
  trees.push(tree('c', 1, 'ada'));
  await yields.apply();
  expect(asked).toEqual(['freeze a', 'freeze b', 'freeze c']);
});

it('asks for the last wish alone when they come faster than they are done', async () => {
  const { asked, yields } = world();
  await Promise.all([yields.want(pause), yields.want(half), yields.want(pause)]);
  expect(asked).toEqual(['freeze a', 'freeze b']);
});

it('tries again what failed', async () => {
  const { asked, yields, clock } = world({ failures: 1 });
  await yields.want(pause);
  expect(asked).toEqual(['freeze b']);
  clock.advance(5_000);
  await yields.apply();
  expect(asked).toEqual(['freeze b', 'freeze a']);
});

it('tries all that failed again together, however many there are', async () => {
  const { asked, yields, clock } = world({ failures: 8 });
  await yields.want(pause);
  for (let tries = 1; tries < 4; tries++) {
    expect(clock.waits).toEqual([5_000]);
    clock.advance(5_000);
    await yields.apply();
  }
  expect(clock.waits).toEqual([5_000]);
  clock.advance(5_000);
  await yields.apply();
  expect(asked).toEqual(['freeze a', 'freeze b']);
  expect(clock.waits).toEqual([]);
});

it('stops a tree at once, also while it is still being told that it has less', async () => {
  const told = deferred<void>();
  const { asked, paces, yields } = world({ throttled: told.promise });
  const slowed = yields.want(half);
  await until('they are being told', () => asked.filter((what) => what.startsWith('throttle')).length === 2);
  await yields.want(pause);
  expect(asked.slice(-2)).toEqual(['freeze a', 'freeze b']);
  told.resolve();
  await slowed;
  await yields.want(pause);
  // What they were told last is that they stand still.
  expect(paces.slice(-2).sort()).toEqual(['a 0', 'b 0']);
  await yields.want(half);
  expect(paces.slice(-2).sort()).toEqual(['a 0.5', 'b 0.5']);
});

it('stops what could not be slowed down, when that is wanted by then', async () => {
  const told = deferred<void>();
  const { asked, yields } = world({ throttled: told.promise });
  const slowed = yields.want(half);
  await until('they are being told', () => asked.filter((what) => what.startsWith('throttle')).length === 2);
  const went = yields.want(noWish);
  told.reject(new Error('the disk is full'));
  await Promise.all([slowed, went]);
  expect(asked.slice(-4).sort()).toEqual(['thaw a', 'thaw b', 'throttle a no', 'throttle b no']);
});

it('does nothing to a tree that was meant for another in its place', async () => {
  const told = deferred<void>();
  const { asked, trees, tree, yields } = world({ throttled: told.promise });
  const slowed = yields.want(half);
  await until('they are being told', () => asked.filter((what) => what.startsWith('throttle')).length === 2);
  const went = yields.want(noWish);
  trees.pop();
  await Promise.all([yields.want(pause), trees.push(tree('b', 1, 'bob'))]);
  await yields.apply();
  told.resolve();
  await Promise.all([slowed, went]);
  await yields.apply();
  expect(asked.slice(-2)).toEqual(['freeze a', 'freeze b']);
});

it('leaves everything alone while the machine sleeps, but gives it no time', async () => {
  const { asked, paces, yields } = world();
  await yields.want(half);
  const before = asked.length;
  await yields.want({ ...noWish, step: 'asleep' });
  expect(asked.slice(before)).toEqual([]);
  expect(paces.slice(2).sort()).toEqual(['a 0', 'b 0']);
  await yields.want(half);
  expect(paces.slice(4).sort()).toEqual(['a 0.5', 'b 0.5']);
});
