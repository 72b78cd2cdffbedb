import { once } from 'node:events';
import { Writable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { writeTo } from '../../../base/channel/streams.ts';

/** A stream that is full after one message, and takes the next when told to. */
function aSlowStream() {
  const waiting: (() => void)[] = [];
  const stream = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write: (_message, _encoding, taken) => void waiting.push(taken),
  });
  const takeAll = async () => {
    let drained = false;
    const told = once(stream, 'drain').then(() => {
      drained = true;
    });
    while (!drained) {
      waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await told;
  };
  return { stream, takeAll };
}

describe('writing to a full stream', () => {
  it('is waited for by many writers with one set of listeners, and nobody warns', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => void warnings.push(warning);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const { stream, takeAll } = aSlowStream();
    const before = stream.listenerCount('close');
    const writers = Array.from({ length: 40 }, (_, at) => writeTo(stream, at));
    expect(writers.every((writer) => writer instanceof Promise)).toBe(true);
    expect(stream.listenerCount('drain')).toBe(1);
    await takeAll();
    await Promise.all(writers);
    expect([stream.listenerCount('drain'), stream.listenerCount('close')]).toEqual([0, before]);
    expect(warnings).toEqual([]);
  });

  it('waits anew after the stream had room', async () => {
    const { stream, takeAll } = aSlowStream();
    let second: Promise<void> | undefined;
    const first = writeTo(stream, 1);
    stream.once('drain', () => {
      second = writeTo(stream, 2);
    });
    await takeAll();
    await first;
    let went = false;
    void second?.then(() => {
      went = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(went).toBe(false);
    await takeAll();
    await second;
    expect(went).toBe(true);
  });

  it('fails for every writer when the stream closes', async () => {
    const { stream } = aSlowStream();
    const writers = Array.from({ length: 3 }, (_, at) => writeTo(stream, at));
    stream.destroy();
    for (const result of await Promise.allSettled(writers)) expect(result.status).toBe('rejected');
    await expect(writeTo(stream, 4)).rejects.toThrow(/closed/);
  });
});
