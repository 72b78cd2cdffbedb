import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../base/clock.ts';
import { type Change, GroupWriter } from '../../../node-agent/store/group-writer.ts';

function recording() {
  const timers: (() => void)[] = [];
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    sinceBootMs: () => 0,
    setTimer(_delayMs, task) {
      timers.push(task);
      return { cancel: () => timers.splice(timers.indexOf(task), 1) };
    },
  };
  const writes: { readonly keys: string[]; readonly sync: boolean }[] = [];
  const finish: (() => void)[] = [];
  const writer = new GroupWriter((changes, sync) => {
    writes.push({ keys: changes.map(({ key }) => key), sync });
    return new Promise((resolve) => finish.push(resolve));
  }, clock);
  return { writer, writes, finish, timers, clock };
}

const put = (key: string): Change => ({ type: 'put', key, value: 'x' });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('group commits', () => {
  it('writes together what comes while a write is under way', async () => {
    const { writer, writes, finish } = recording();
    writer.add(put('a'));
    const first = writer.durable();
    await turn();
    for (const key of ['b', 'c', 'd']) {
      writer.add(put(key));
      void writer.durable();
    }
    const last = writer.durable();
    await turn();
    expect(writes).toHaveLength(1);
    finish[0]?.();
    await first;
    await turn();
    finish[1]?.();
    await last;
    expect(writes.map(({ keys }) => keys)).toEqual([['a'], ['b', 'c', 'd']]);
  });

  it('says durable only when the synced write that holds the change is over', async () => {
    const { writer, writes, finish } = recording();
    let durable = false;
    writer.add(put('a'));
    const done = writer.durable().then(() => {
      durable = true;
    });
    await turn();
    expect(durable).toBe(false);
    finish[0]?.();
    await done;
    expect(writes).toEqual([{ keys: ['a'], sync: true }]);
  });

  it('repeats in a synced write what was only written before, and not again', async () => {
    const { writer, writes, finish } = recording();
    const end = async (done: Promise<void>) => {
      await turn();
      finish.shift()?.();
      await done;
    };
    writer.add(put('a'));
    await end(writer.written());
    writer.add(put('b'));
    await end(writer.durable());
    writer.add(put('c'));
    await end(writer.durable());
    await writer.durable();
    expect(writes).toEqual([
      { keys: ['a'], sync: false },
      { keys: ['a', 'b'], sync: true },
      { keys: ['c'], sync: true },
    ]);
  });

  it('lets who is in no hurry join the next synced write', async () => {
    const { writer, writes, finish, timers } = recording();
    writer.add(put('a'));
    const soon = writer.durableSoon();
    await turn();
    expect(writes).toHaveLength(0);
    writer.add(put('b'));
    const now = writer.durable();
    await turn();
    finish[0]?.();
    await Promise.all([soon, now]);
    expect(writes).toEqual([{ keys: ['a', 'b'], sync: true }]);
    expect(timers).toHaveLength(0);
  });

  it('brings to the disk what nobody waits for', async () => {
    const { writer, writes, finish, timers } = recording();
    writer.add(put('a'));
    timers[0]?.();
    await turn();
    finish[0]?.();
    await writer.durableSoon();
    expect(writes).toEqual([{ keys: ['a'], sync: true }]);
  });

  it('fails everything after a failed write', async () => {
    const { clock } = recording();
    const writer = new GroupWriter(() => Promise.reject(new Error('disk gone')), clock);
    writer.add(put('a'));
    await expect(writer.durable()).rejects.toThrow('disk gone');
    writer.add(put('b'));
    await expect(writer.written()).rejects.toThrow('disk gone');
  });
});
