import { expect, it } from 'vitest';
import { fullPace } from '../../../node-agent/attempts/pace.ts';
import { writeDeskState } from '../../../node-agent/desk/desk-state.ts';
import type { DeskKeeper } from '../../../node-agent/desk/keeper.ts';
import { free } from '../../../node-agent/presence/decide-yield.ts';
import { DeskState } from '../../../proto/gen/labrun/v1/desk.ts';
import { anAttempt } from '../../kit/attempts.ts';

const hour = 3_600_000;
const nowMs = 1_000_000 * hour;

/** What is shown of a machine by a clock that was set by so much; `sinceMs`: since when it does what it does, 0 for ever. */
function shown(setByMs: number, sinceMs: number) {
  const pause = { by: 'ada', reason: '', sinceMs: nowMs - hour, untilMs: nowMs + hour, untilAway: false };
  const yielding = { ...free, sinceMs, usuallyFreeFromMinute: undefined, interruption: undefined };
  // Only what is shown of it.
  const keeper = { yielding, pauses: [pause], givenCoreMs: 0, isUnkept: false } as unknown as DeskKeeper;
  const running = { kind: 'running', startedAtMs: nowMs - 2 * hour } as const;
  const facts = {
    ...{ node: 'n1', nowMs, wallMs: nowMs + setByMs, sinceBootMs: hour, attempts: [anAttempt(0, running)], shells: [] },
    ...{ verdict: undefined, headConnected: true, cores: 4, freezing: 'stop', mayChange: false, sleep: '' },
    ...{ notice: { text: '', number: 0 }, pauseMaxMs: 4 * hour, jobName: () => 'j' },
  };
  const state = writeDeskState(keeper, {
    ...facts,
    attempts: facts.attempts.map((one) => ({ ...one, pace: fullPace })),
  });
  return DeskState.decode(DeskState.encode(state).finish());
}

it.each([2 * hour, -2 * hour, -3])(
  'moments are those of the clock on the wall, also when that is set by %i ms',
  (setByMs) => {
    const { sinceMs, pauses, jobs } = shown(setByMs, nowMs - hour);
    const wall = (ms: number) => BigInt(ms + setByMs);
    expect(sinceMs).toBe(wall(nowMs - hour));
    expect(pauses).toMatchObject([{ sinceMs: wall(nowMs - hour), untilMs: wall(nowMs + hour) }]);
    expect(jobs).toMatchObject([{ startedMs: wall(nowMs - 2 * hour) }]);
    // A machine that has done nothing for anybody yet has not done so since any moment.
    expect(shown(setByMs, 0).sinceMs).toBe(0n);
  },
);
