import { setMaxListeners } from 'node:events';
import { expect, it } from 'vitest';
import { RefusedError, refused } from '../../../base/errors.ts';
import { HeadRoom } from '../../../node-agent/uplink/head-room.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

const random = { next: () => 1, bytes: (count: number) => new Uint8Array(count) };
const never = new AbortController().signal;
// As many listen as files are on their way at once.
setMaxListeners(64, never);
const full = new RefusedError(refused('disk-full', 'full'));
/** Lets everything happen that waits for nothing but its turn. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

function aHead() {
  const clock = new ManualClock();
  const head = { clock, room: new HeadRoom(clock, random), isFull: true, tries: 0 };
  const task = async () => {
    head.tries += 1;
    if (head.isFull) throw full;
    return 'sent';
  };
  return Object.assign(head, { task });
}

it('while the head is full one transfer tries, less and less often, and all go on when there is room', async () => {
  const head = aHead();
  const sent = Array.from({ length: 32 }, () => head.room.send(head.task, never));
  await settle();
  expect(head.tries).toBe(32);
  for (const waitMs of [250, 500, 1_000, 2_000, 2_000]) {
    expect(head.clock.waits).toEqual([waitMs]);
    head.clock.advance(waitMs);
    await settle();
  }
  expect(head.tries).toBe(37);
  head.isFull = false;
  head.clock.advance(2_000);
  expect(new Set(await Promise.all(sent))).toEqual(new Set(['sent']));
  expect(head.clock.waits).toEqual([]);
});

it('another one tries when the one that tried is not wanted any more', async () => {
  const head = aHead();
  const gone = new AbortController();
  const first = head.room.send(head.task, gone.signal);
  await settle();
  const second = head.room.send(head.task, never);
  await settle();
  gone.abort(new Error('cancelled'));
  await expect(first).rejects.toThrow('cancelled');
  await settle();
  head.isFull = false;
  head.clock.advance(5_000);
  expect(await second).toBe('sent');
});

it('hands on what is no matter of room', async () => {
  const head = aHead();
  await expect(head.room.send(() => Promise.reject(new Error('cut')), never)).rejects.toThrow('cut');
});
