import { describe, expect, it } from 'vitest';
import { silenceMaxMs, untilSilent } from '../../../head/grpc/silence.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

async function* slowly(clock: ManualClock, waitsMs: readonly number[]): AsyncGenerator<number> {
  for (const [at, waitMs] of waitsMs.entries()) {
    clock.advance(waitMs);
    yield at;
  }
  await new Promise(() => {}); // it never ends by itself
}

describe('an upload', () => {
  it('may be slow, and is refused when nothing has come for ten minutes', async () => {
    const clock = new ManualClock();
    const messages = untilSilent(slowly(clock, [0, silenceMaxMs - 1, silenceMaxMs - 1]), clock);
    for (const at of [0, 1, 2]) expect(await messages.next()).toEqual({ done: false, value: at });
    const last = messages.next();
    expect(clock.waits).toEqual([silenceMaxMs]);
    clock.advance(silenceMaxMs);
    await expect(last).rejects.toThrow('nothing has come for 10 minutes');
    expect(clock.waits).toEqual([]);
  });

  it('ends as its stream does, and closes it when nobody reads any further', async () => {
    const clock = new ManualClock();
    let closed = 0;
    async function* two() {
      try {
        yield 1;
        yield 2;
      } finally {
        closed += 1;
      }
    }
    const seen: number[] = [];
    for await (const one of untilSilent(two(), clock)) seen.push(one);
    for await (const one of untilSilent(two(), clock)) if (one === 1) break;
    expect([seen, closed]).toEqual([[1, 2], 2]);
    expect(clock.waits).toEqual([]);
  });
});
