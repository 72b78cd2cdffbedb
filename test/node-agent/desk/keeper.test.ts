import { beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '../../../base/deferred.ts';
import type { AttemptId } from '../../../base/ids.ts';
import { openLog } from '../../../base/log.ts';
import type { DeskSetting } from '../../../config/agent.ts';
import { defaultPolicy, readDeskPolicy } from '../../../config/desk-policy.ts';
import type { Attempt } from '../../../node-agent/attempts/attempt.ts';
import { DeskKeeper } from '../../../node-agent/desk/keeper.ts';
import type { NodeYield } from '../../../node-agent/effects/node-yields.ts';
import type { Wish } from '../../../node-agent/effects/tree-yields.ts';
import type { Seen } from '../../../node-agent/presence/decide-yield.ts';
import type { Signal, Tell } from '../../../node-agent/presence/signal.ts';
import type { StrainName } from '../../../node-agent/presence/strain.ts';
import { openPresence, type PresenceWatch } from '../../../node-agent/presence/watch.ts';
import { anAttempt } from '../../kit/attempts.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { until } from '../../kit/until.ts';

const minute = 60_000;
const hour = 60 * minute;
const log = openLog('test', 'fatal');

let clock: ManualClock;
/** How far the clock on the wall is ahead of the one that never jumps. */
let wallShiftMs: number;
/** What the disk has. */
let kept: string | undefined;
let durable: Promise<void>;
let settings: DeskSetting;
let attempts: readonly Attempt[];
let coresInUse: number;
let requeued: readonly AttemptId[];
let yielded: { readonly yielding: NodeYield; readonly wish: Wish }[];
let tell: Tell;
let watch: PresenceWatch;
let strain: { seen(name: StrainName): Seen; look(): void; memoryShortSinceMs: number | undefined };

beforeEach(() => {
  clock = new ManualClock(1_000 * hour);
  wallShiftMs = 0;
  kept = undefined;
  durable = Promise.resolve();
  settings = {
    ...{ group: undefined, owner: 'ada', pauseMaxMs: 4 * hour, inputDevices: undefined },
    ...{ policy: defaultPolicy, policyIsFixed: false },
  };
  attempts = [];
  coresInUse = 0;
  requeued = [];
  yielded = [];
  strain = { seen: () => ({ lastMs: undefined, why: '' }), look: () => undefined, memoryShortSinceMs: undefined };
});

/** A keeper over what the disk has; with a keyboard that the test uses unless the machine is dedicated. */
function aKeeper(options: { dedicated?: boolean } = {}): DeskKeeper {
  const keyboard: Signal = {
    name: 'keyboard',
    start: (say) => {
      tell = say;
      say('keyboard', { reading: { kind: 'absent', why: 'nobody has typed' }, sees: [] });
    },
    close: async () => undefined,
  };
  const presence = options.dedicated
    ? undefined
    : openPresence({ clock, log, signals: [keyboard], awayAfterMs: 5 * minute });
  if (presence) watch = presence;
  const keeper = new DeskKeeper({
    ...{ clock, log, presence, strain },
    wallMs: () => clock.nowMs() + wallShiftMs,
    record: {
      desk: kept,
      noteDesk: (text) => {
        kept = text;
      },
      durable: () => durable,
    },
    agent: {
      yieldTo: async (yielding, wish) => void yielded.push({ yielding, wish }),
      askRequeue: (ids) => {
        requeued = [...requeued, ...ids];
      },
      attempts: () => attempts,
      usesGpu: (id) => id === attempts[0]?.id,
      get coresInUse() {
        return coresInUse;
      },
    },
    settings: () => settings,
    cores: () => 8,
  });
  keeper.look();
  return keeper;
}

function type(): void {
  const reading = { kind: 'idle' as const, lastActiveMs: clock.sinceBootMs(), detail: 'somebody typed' };
  tell('keyboard', { reading, sees: [] });
}

const pause = { forMs: undefined, until: undefined, reason: '' };
const now = () => yielded.at(-1);

describe('a pause at the desk', () => {
  it('is kept, taken up by the next agent, and ends by itself', async () => {
    await aKeeper().pause('ada', { ...pause, forMs: hour, reason: 'a talk' });
    expect(now()).toMatchObject({ yielding: { step: 'pause', by: 'ada', reason: 'a talk' }, wish: { step: 'pause' } });
    clock.advance(10 * minute);
    const next = aKeeper();
    expect(now()?.yielding).toMatchObject({
      ...{ step: 'pause', by: 'ada' },
      ...{ sinceMs: clock.nowMs() - 10 * minute, untilMs: clock.nowMs() + 50 * minute },
    });
    clock.advance(50 * minute);
    expect(now()?.yielding).toMatchObject({ step: 'none', takesJobs: true });
    expect(next.pauses).toEqual([]);
  });

  it.each([2 * hour, -2 * hour])(
    'ends when it should, and not later or sooner when the clock is set by %i ms',
    async (jumpMs) => {
      await aKeeper().pause('ada', { ...pause, forMs: hour });
      wallShiftMs = jumpMs; // which nobody tells
      clock.advance(minute);
      expect(now()?.yielding).toMatchObject({ step: 'pause', untilMs: clock.nowMs() + 59 * minute });
      // The next agent has no other clock than the one on the wall.
      clock = new ManualClock(clock.nowMs() + jumpMs);
      wallShiftMs = 0;
      aKeeper();
      expect(now()?.yielding).toMatchObject({ step: 'pause', untilMs: clock.nowMs() + 59 * minute });
      clock.advance(59 * minute);
      expect(now()?.yielding).toMatchObject({ step: 'none' });
    },
  );

  it('ends soon after the machine has woken up that slept past its end, though nobody told', async () => {
    await aKeeper().pause('ada', { ...pause, forMs: hour });
    clock.advance(10 * minute);
    clock.sleep(8 * hour);
    clock.advance(minute);
    expect(now()?.yielding).toMatchObject({ step: 'none', takesJobs: true });
  });

  it('until tomorrow means the morning of the clock on the wall', async () => {
    const keeper = aKeeper();
    settings = { ...settings, pauseMaxMs: 48 * hour };
    const at = new Date(clock.nowMs());
    wallShiftMs = new Date(at.getFullYear(), at.getMonth(), at.getDate(), 23, 30).getTime() - at.getTime();
    await keeper.pause('ada', { ...pause, until: 'tomorrow' });
    expect(keeper.pauses[0]?.untilMs).toBe(clock.nowMs() + 6.5 * hour);
  });

  it('stops also the jobs of the owner, and is no longer than allowed', async () => {
    const keeper = aKeeper();
    const limit = { code: 'limit', message: expect.stringContaining('so long: 4h is the most') };
    expect(await keeper.pause('bob', { ...pause, forMs: 5 * hour })).toMatchObject(limit);
    expect(await keeper.pause('bob', { ...pause, forMs: 0 })).toMatchObject({ code: 'invalid' });
    expect(await keeper.pause('bob', pause)).toBeUndefined();
    expect(now()).toMatchObject({ yielding: { untilMs: clock.nowMs() + 4 * hour }, wish: { exempt: new Set() } });
  });

  it('is answered although the disk does not take it, and holds', async () => {
    const disk = deferred<void>();
    durable = disk.promise;
    const keeper = aKeeper();
    const pausing = keeper.pause('ada', pause);
    expect(now()?.wish.step).toBe('pause');
    await Promise.resolve();
    clock.advance(3_000);
    expect(await pausing).toBeUndefined();
    expect(keeper.isUnkept).toBe(true); // whoever asked is told
    disk.resolve();
    await until('the disk has it', () => !keeper.isUnkept);
  });

  it('until somebody leaves ends when nobody was there for as long as the policy says', async () => {
    const keeper = aKeeper();
    type();
    await keeper.pause('ada', { ...pause, until: 'away' });
    clock.advance(4 * minute);
    type();
    clock.advance(4 * minute);
    expect(now()?.yielding).toMatchObject({ step: 'pause' });
    clock.advance(minute);
    expect(now()?.yielding).toMatchObject({ step: 'none' });
    expect(await aKeeper({ dedicated: true }).pause('ada', { ...pause, until: 'away' })).toMatchObject({
      code: 'invalid',
    });
  });

  it('until somebody leaves holds though they have not yet been seen to come, and whatever they mind', async () => {
    const keeper = aKeeper();
    await keeper.setPolicy('idle: {resume: 0s, newWork: 0s}');
    await keeper.pause('ada', { ...pause, until: 'away' });
    expect(now()?.yielding).toMatchObject({ step: 'pause' });
    clock.advance(minute - 1);
    expect(now()?.yielding).toMatchObject({ step: 'pause' });
    clock.advance(1);
    expect(now()?.yielding).toMatchObject({ step: 'none' });
  });
});

describe('somebody who is seen', () => {
  it('slows jobs down to half of the cores, but for their own, and is gone after a while', () => {
    aKeeper();
    expect(now()?.yielding).toMatchObject({ step: 'none', takesJobs: true });
    type();
    expect(now()).toMatchObject({
      yielding: { step: 'throttle', takesJobs: false, cause: 'activity' },
      wish: { step: 'throttle', cores: 4, exempt: new Set(['ada']) },
    });
    clock.advance(5 * minute);
    expect(now()?.yielding).toMatchObject({ step: 'none', takesJobs: false });
    clock.advance(10 * minute);
    expect(now()?.yielding).toMatchObject({ step: 'none', takesJobs: true });
  });
});

describe('a policy', () => {
  it('of the owner holds at once and after a restart, and a wrong one changes nothing', async () => {
    const keeper = aKeeper();
    type();
    expect(await keeper.setPolicy('onActivity: pause')).toBeUndefined();
    expect(now()?.yielding).toMatchObject({ step: 'pause', cause: 'activity' });
    expect(await keeper.setPolicy('onActivity: stop')).toMatchObject({ code: 'invalid' });
    expect(aKeeper().policy.onActivity).toBe('pause');
    expect(await keeper.setPolicy('')).toBeUndefined();
    expect(now()?.yielding).toMatchObject({ step: 'throttle' });
  });

  it('says also when somebody counts as away, from the moment it is set', async () => {
    const keeper = aKeeper();
    type();
    await keeper.setPolicy('idle: {resume: 20s, newWork: 25s}');
    expect(watch.current().present).toBe(true);
    clock.advance(20_000);
    expect(watch.current().present).toBe(false);
    expect(now()?.yielding).toMatchObject({ step: 'none', takesJobs: false });
    aKeeper();
    type();
    clock.advance(20_000);
    expect(watch.current().present).toBe(false);
  });

  it('that the admin has fixed is what holds', async () => {
    await aKeeper().setPolicy('onActivity: nothing');
    settings = { ...settings, policyIsFixed: true, policy: readDeskPolicy('p', 'onActivity: pause') };
    const keeper = aKeeper();
    expect(keeper.policy.onActivity).toBe('pause');
    expect(await keeper.setPolicy('onActivity: nothing')).toMatchObject({ code: 'denied' });
  });

  it('lets jobs look for another machine when they were stopped for long, but not what has not begun', async () => {
    const keeper = aKeeper({ dedicated: true });
    await keeper.setPolicy('requeue: {afterPause: 2h}');
    const running = { kind: 'running', startedAtMs: 1 } as const;
    attempts = [anAttempt(0, running), anAttempt(1, { kind: 'staging' }), anAttempt(2, { kind: 'building' })];
    await keeper.pause('ada', pause);
    clock.advance(2 * hour - 1);
    expect(requeued).toEqual([]);
    clock.advance(1);
    // Who waits for a build waits for what stands still.
    expect(requeued).toEqual([attempts[0]?.id, attempts[2]?.id]);
  });
});

it('asks at once about what a new policy names', async () => {
  let looks = 0;
  strain.look = () => void looks++;
  const keeper = aKeeper();
  await keeper.setPolicy('onLoad: {cores: 2}');
  expect(looks).toBe(1);
  keeper.reconfigured();
  expect(looks).toBe(2);
});

it('wakes no disk while nobody is there and nothing runs, and loses nothing of what it learns then', () => {
  aKeeper();
  type();
  clock.advance(2 * hour);
  const before = kept;
  clock.advance(20 * hour);
  expect(kept).toBe(before);
  type();
  expect(kept).not.toBe(before);
  const watchedS = JSON.parse(JSON.parse(kept ?? '').history).watchedS as number[]; // as presence/history.ts writes it
  expect(watchedS.reduce((sum, one) => sum + one, 0)).toBeGreaterThan(18 * 3_600);
});

it('jobs look for another machine when memory stays short although they are stopped', () => {
  const keeper = aKeeper();
  attempts = [anAttempt(0, { kind: 'running', startedAtMs: 1 }, { user: 'bob' })];
  strain.seen = (name) => ({
    lastMs: name === 'memory' ? Number.POSITIVE_INFINITY : undefined,
    why: 'memory is short',
  });
  strain.memoryShortSinceMs = clock.nowMs();
  keeper.look();
  expect(now()?.yielding).toMatchObject({ step: 'pause', cause: 'memory' });
  clock.advance(2 * minute - 1);
  expect(requeued).toEqual([]);
  clock.advance(1);
  expect(requeued).toEqual([attempts[0]?.id]);
});

it('jobs that use no GPU do what they would if nobody else were at one', async () => {
  const keeper = aKeeper();
  await keeper.setPolicy('requeue: {afterPause: 1h}');
  const running = { kind: 'running', startedAtMs: 1 } as const;
  attempts = [0, 1].map((index) => anAttempt(index, running, { user: 'bob' }));
  const used = { lastMs: Number.POSITIVE_INFINITY, why: 'somebody else uses a GPU' };
  strain.seen = (name) => (name === 'gpu' ? used : { lastMs: undefined, why: '' });
  keeper.look();
  expect(now()).toMatchObject({ yielding: { step: 'pause', cause: 'gpu' }, wish: { withoutGpu: 'none' } });
  type();
  expect(now()).toMatchObject({
    yielding: { cause: 'gpu' },
    wish: { step: 'pause', withoutGpu: 'throttle', cores: 4 },
  });
  clock.advance(hour);
  expect(new Set(requeued)).toEqual(new Set([attempts[0]?.id]));
  await keeper.pause('ada', pause);
  expect(now()?.wish).toMatchObject({ step: 'pause', withoutGpu: 'pause' });
});

it('is told to the head when somebody usually comes, once that is known, also after a restart', () => {
  let keeper = aKeeper();
  for (let day = 0; day < 21; day++) {
    clock.advance(9 * hour);
    // Eight hours of work.
    for (let at = 0; at < 8 * 15; at++) {
      type();
      clock.advance(4 * minute);
    }
    clock.advance(7 * hour);
    if (day === 2) expect(now()?.yielding.interruption).toBeUndefined();
    if (day === 15) keeper = aKeeper();
  }
  keeper.look();
  expect(now()?.yielding.interruption).toBeLessThan(0.2);
  clock.advance(9 * hour - 20 * minute);
  keeper.look();
  expect(now()?.yielding.interruption).toBeGreaterThan(0.5);
  expect(now()?.yielding.usuallyFreeFromMinute).toBeTypeOf('number');
});

it('what jobs were given is counted by the core, and begins anew on Monday', () => {
  const keeper = aKeeper({ dedicated: true });
  coresInUse = 3;
  keeper.attemptsChanged();
  clock.advance(2 * hour);
  expect(keeper.givenCoreMs).toBe(6 * hour);
  coresInUse = 0.5;
  keeper.attemptsChanged();
  clock.advance(hour);
  coresInUse = 3;
  keeper.attemptsChanged();
  expect(keeper.givenCoreMs).toBe(6.5 * hour);
  clock.advance(7 * 24 * hour);
  expect(keeper.givenCoreMs).toBeLessThanOrEqual(3 * 7 * 24 * hour);
  expect(keeper.givenCoreMs).toBeGreaterThan(0);
});

it('what the desk remembered in a way that nobody can read is gone, and the agent works on', () => {
  kept = '{"version": 99}';
  expect(aKeeper().pauses).toEqual([]);
});

describe('a machine that sleeps', () => {
  it('is told of as such, whatever else holds, and is as it was when it wakes up', async () => {
    const keeper = aKeeper();
    await keeper.pause('ada', { ...pause, forMs: hour });
    await keeper.setAsleep(true);
    expect(now()).toMatchObject({
      yielding: { step: 'pause', takesJobs: false, cause: 'asleep' },
      wish: { step: 'asleep', exempt: new Set() },
    });
    clock.advance(30 * minute);
    await keeper.setAsleep(false);
    expect(now()).toMatchObject({ yielding: { cause: 'asked', by: 'ada' }, wish: { step: 'pause' } });
    clock.advance(30 * minute);
    await keeper.setAsleep(true);
    await keeper.setAsleep(false);
    expect(now()).toMatchObject({ yielding: { step: 'none', takesJobs: true }, wish: { step: 'none' } });
  });

  it('sends no jobs elsewhere for having slept', async () => {
    const keeper = aKeeper();
    await keeper.setPolicy('{requeue: {afterPause: 1m}}');
    attempts = [anAttempt(0, { kind: 'running', startedAtMs: 1 })];
    await keeper.setAsleep(true);
    clock.advance(10 * hour);
    await keeper.setAsleep(false);
    clock.advance(10 * minute);
    expect(requeued).toEqual([]);
  });
});
