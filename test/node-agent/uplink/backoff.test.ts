import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { Fault, RefusedError, refused } from '../../../base/errors.ts';
import { keepTrying } from '../../../node-agent/uplink/backoff.ts';

const middle = { next: () => 0.5, bytes: (count: number) => new Uint8Array(count) };

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
