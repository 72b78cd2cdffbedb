import { describe, expect, it } from 'vitest';
import { defaultPolicy, readDeskPolicy } from '../../../config/desk-policy.ts';
import { decideYield, free, type Sight } from '../../../node-agent/presence/decide-yield.ts';
import { addPause, endPauses, livePauses, type Pause } from '../../../node-agent/presence/pauses.ts';

const minute = 60_000;
const hour = 60 * minute;
/** A Wednesday, 10:00, where the machine stands. */
const now = 1_000 * hour;
const wednesdayTen = 2 * 24 * 60 + 10 * 60;
const nothing = { lastMs: undefined, why: '' };

function sight(seen: Partial<Sight> = {}): Sight {
  return {
    nowMs: now,
    minuteOfWeek: wednesdayTen,
    activity: nothing,
    load: nothing,
    memory: nothing,
    gpu: nothing,
    ...seen,
  };
}

function typed(agoMs: number): Partial<Sight> {
  return { activity: { lastMs: now - agoMs, why: 'somebody typed' } };
}

const pauseOf = (by: string, forMs: number, reason = ''): Pause => ({
  by,
  reason,
  sinceMs: now,
  untilMs: now + forMs,
  untilAway: false,
});

describe('a node whose owner has said nothing', () => {
  it('is free when nobody was ever seen', () => {
    expect(decideYield(defaultPolicy, [], sight())).toEqual({ yielding: free, lookAgainMs: undefined });
  });

  it('throttles jobs while somebody is there, and takes none', () => {
    const { yielding, lookAgainMs } = decideYield(defaultPolicy, [], sight(typed(0)));
    expect(yielding).toMatchObject({ step: 'throttle', takesJobs: false, cause: 'activity', reason: 'somebody typed' });
    expect(yielding.condition).toBe('when nobody has been at the desk for 15 min');
    expect(lookAgainMs).toBe(5 * minute);
  });

  it('lets jobs go on after 5 minutes, and takes new ones after 15', () => {
    const quiet = decideYield(defaultPolicy, [], sight(typed(5 * minute)));
    expect(quiet).toMatchObject({ yielding: { step: 'none', takesJobs: false }, lookAgainMs: 10 * minute });
    expect(decideYield(defaultPolicy, [], sight(typed(15 * minute))).yielding).toEqual(free);
  });

  it.each([
    ['25s', '25 s'],
    ['1m30s', '1m30s'],
    ['2h', '120 min'],
    ['0s', 'a moment'],
  ])('says how long %s is', (newWork, told) => {
    const policy = readDeskPolicy('p', `idle: {resume: 0s, newWork: ${newWork}}`);
    const acts = sight({ activity: { lastMs: Number.POSITIVE_INFINITY, why: 'somebody types' } });
    expect(decideYield(policy, [], acts).yielding.condition).toBe(`when nobody has been at the desk for ${told}`);
  });

  it('stays as it is while somebody may sit there unseen', () => {
    const unseen = sight({ activity: { lastMs: Number.POSITIVE_INFINITY, why: 'a display cannot be read' } });
    expect(decideYield(defaultPolicy, [], unseen)).toMatchObject({
      yielding: { step: 'throttle' },
      lookAgainMs: undefined,
    });
  });

  it('stops jobs when memory is short or somebody else uses the GPU, also while it would only throttle', () => {
    const short = sight({ ...typed(0), memory: { lastMs: now, why: 'memory is short' } });
    expect(decideYield(defaultPolicy, [], short).yielding).toMatchObject({ step: 'pause', cause: 'memory' });
    const gpu = sight({ gpu: { lastMs: now - minute, why: 'blender uses the GPU' } });
    expect(decideYield(defaultPolicy, [], gpu).yielding).toMatchObject({ step: 'pause', cause: 'gpu' });
  });
});

describe('a pause that somebody asked for', () => {
  it('counts whatever the policy says, until its end and no longer', () => {
    const policy = readDeskPolicy('p', 'onActivity: nothing');
    const { yielding, lookAgainMs } = decideYield(policy, [pauseOf('ada', hour, 'a talk')], sight());
    expect(yielding).toEqual({
      ...{ step: 'pause', takesJobs: false, cause: 'asked', by: 'ada', reason: 'a talk' },
      ...{ untilMs: now + hour, condition: 'when the pause of ada has ended' },
    });
    expect(lookAgainMs).toBe(hour);
    expect(decideYield(policy, [pauseOf('ada', hour)], { ...sight(), nowMs: now + hour }).yielding).toEqual(free);
  });

  it('of two people ends for each by itself; the later end is the one that is named', () => {
    const both = [pauseOf('ada', hour), pauseOf('bob', 2 * hour)];
    expect(decideYield(defaultPolicy, both, sight()).yielding).toMatchObject({ by: 'bob', untilMs: now + 2 * hour });
    expect(decideYield(defaultPolicy, endPauses(both, 'bob'), sight()).yielding).toMatchObject({ by: 'ada' });
    expect(decideYield(defaultPolicy, endPauses(both, undefined), sight()).yielding).toEqual(free);
  });

  it('is renewed by the same person, keeps its beginning, and is never longer than it may be', () => {
    const first = addPause([], { ...pauseOf('ada', hour), sinceMs: now - hour }, 4 * hour);
    const renewed = addPause(first, pauseOf('ada', 9 * hour), 4 * hour);
    expect(renewed).toEqual([
      { by: 'ada', reason: '', sinceMs: now - hour, untilMs: now + 4 * hour, untilAway: false },
    ]);
  });

  it('ends in time though the clock was put back', () => {
    const kept = livePauses([pauseOf('ada', 4 * hour)], now - 48 * hour, 4 * hour);
    expect(kept[0]?.untilMs).toBe(now - 44 * hour);
    expect(livePauses(kept, now, 4 * hour)).toEqual([]);
  });
});

describe('hours of the week', () => {
  const policy = readDeskPolicy(
    'p',
    'hours:\n  - {days: [mon, tue, wed, thu, fri], from: "9:00", to: "18:00"}\n  - {from: "22:00", to: "1:00", do: throttle}',
  );

  it('hold whatever anybody does, and end by themselves', () => {
    const { yielding, lookAgainMs } = decideYield(policy, [], sight());
    expect(yielding).toMatchObject({ step: 'pause', cause: 'hours', takesJobs: false, condition: 'after 18:00' });
    expect(yielding.untilMs).toBe(now + 8 * hour);
    expect(lookAgainMs).toBe(8 * hour);
  });

  it('are waited for, also over midnight and the end of a week', () => {
    const sundayNine = 6 * 24 * 60 + 21 * 60;
    expect(decideYield(policy, [], sight({ minuteOfWeek: sundayNine }))).toEqual({ yielding: free, lookAgainMs: hour });
    const mondayMidnight = sight({ minuteOfWeek: 30 });
    expect(decideYield(policy, [], mondayMidnight)).toMatchObject({
      yielding: { step: 'throttle' },
      lookAgainMs: 30 * minute,
    });
  });
});

describe('a policy', () => {
  it('that is wrong says everything that is', () => {
    expect(() => readDeskPolicy('desk.yaml', 'onActivity: stop\nhours: [{from: 9, to: "25:00"}]\nidel: {}')).toThrow(
      /desk\.yaml:1.*one of nothing, throttle, pause[\s\S]*idel/,
    );
  });

  it('may let new work start while somebody is there who does not mind', () => {
    const generous = readDeskPolicy('p', 'onActivity: nothing\nidle: {resume: 0s, newWork: 0s}');
    expect(decideYield(generous, [], sight(typed(0))).yielding).toEqual(free);
  });
});
