import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { Fault, RefusedError, refused } from '../../../base/errors.ts';
import { keepTrying, makeBackoff } from '../../../node-agent/uplink/backoff.ts';

const middle = { next: () => 0.5, bytes: (count: number) => new Uint8Array(count) };

describe('waits between tries', () => {
  it('grow to a cap and begin anew after a success', () => {
    const backoff = makeBackoff({ firstMs: 100, capMs: 500 }, middle);
    expect([1, 2, 3, 4, 5].map(() => backoff.nextMs())).toEqual([75, 150, 300, 375, 375]);
    backoff.reset();
    expect(backoff.nextMs()).toBe(75);
  });

  it('are never longer than the cap or shorter than half the full wait', () => {
    for (const chance of [0, 0.999]) {
      const backoff = makeBackoff({ firstMs: 10, capMs: 40 }, { ...middle, next: () => chance });
      for (let tries = 0; tries < 100; tries++) {
        const waitMs = backoff.nextMs();
        expect(waitMs).toBeGreaterThanOrEqual(5);
        expect(waitMs).toBeLessThanOrEqual(40);
      }
    }
  });
});

describe('trying for ever', () => {
  const ports = {
    clock: { ...systemClock, setTimer: (_: number, task: () => void) => systemClock.setTimer(0, task) },
    random: middle,
  };
  const signal = new AbortController().signal;

  it('goes on after what will pass', async () => {
    const troubles = [
      new Fault('link', 'cut'),
      new Fault('UNAVAILABLE', 'away'),
      new RefusedError(refused('disk-full', 'full')),
    ];
    const result = await keepTrying(ports, signal, async () => {
      const trouble = troubles.shift();
      if (trouble) throw trouble;
      return 'through';
    });
    expect(result).toBe('through');
  });

  it('gives up on a lasting no, and when it is told to', async () => {
    const no = new RefusedError(refused('invalid', 'no'));
    await expect(keepTrying(ports, signal, () => Promise.reject(no))).rejects.toBe(no);
    const stop = new AbortController();
    const stopped = keepTrying(ports, stop.signal, async () => {
      stop.abort(new Error('enough'));
      throw new Fault('link', 'cut');
    });
    await expect(stopped).rejects.toThrow('enough');
  });
});
