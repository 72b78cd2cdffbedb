import { describe, expect, it } from 'vitest';
import { type Change, GroupWriter } from '../../../node-agent/store/group-writer.ts';

function recording() {
  const writes: (readonly Change[])[] = [];
  const finish: (() => void)[] = [];
  const writer = new GroupWriter((changes) => {
    writes.push(changes);
    return new Promise((resolve) => finish.push(resolve));
  });
  return { writer, writes, finish };
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
    expect(writes.map((changes) => changes.map(({ key }) => key))).toEqual([['a'], ['b', 'c', 'd']]);
  });

  it('says durable only when the write that holds the change is over', async () => {
    const { writer, finish } = recording();
    let durable = false;
    writer.add(put('a'));
    const done = writer.durable().then(() => {
      durable = true;
    });
    await turn();
    expect(durable).toBe(false);
    finish[0]?.();
    await done;
    expect(durable).toBe(true);
  });

  it('fails everything after a failed write', async () => {
    const writer = new GroupWriter(() => Promise.reject(new Error('disk gone')));
    writer.add(put('a'));
    await expect(writer.durable()).rejects.toThrow('disk gone');
    writer.add(put('b'));
    await expect(writer.durable()).rejects.toThrow('disk gone');
  });
});
