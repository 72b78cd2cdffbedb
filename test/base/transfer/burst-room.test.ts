import { beforeEach, describe, expect, it } from 'vitest';
import { BurstRoom } from '../../../base/transfer/burst-room.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

const mib = 2 ** 20;
let clock: ManualClock;
let allowed: number[];
let room: BurstRoom;

function aRoom(usedBytes: number): BurstRoom {
  return new BurstRoom(clock, { usedBytes: () => usedBytes, allow: (percent) => void allowed.push(percent) });
}

beforeEach(() => {
  clock = new ManualClock();
  allowed = [];
  room = aRoom(24 * mib);
});

describe('room for the buffers of a large transfer', () => {
  it('is given once while it lasts, and taken back when nothing has passed for ten seconds', () => {
    for (let second = 0; second < 30; second++) {
      room.passed(8 * mib);
      clock.advance(1_000);
    }
    expect(allowed).toEqual([400]);
    clock.advance(8_999);
    expect(allowed).toEqual([400]);
    clock.advance(1);
    expect(allowed).toEqual([400, 0]);
    expect(clock.waits).toEqual([]);
  });

  it('is given again for the next', () => {
    room.passed(20 * mib);
    clock.advance(10_000);
    room.passed(20 * mib);
    expect(allowed).toEqual([400, 0, 400]);
  });

  it('is not given for a little now and then', () => {
    for (let minute = 0; minute < 60; minute++) {
      room.passed(mib);
      clock.advance(60_000);
    }
    expect(allowed).toEqual([]);
    expect(clock.waits).toEqual([]);
  });

  it('has a bound, however small the heap', () => {
    aRoom(1_000).passed(16 * mib);
    expect(allowed).toEqual([2_000]);
  });

  it('is taken back at the end of the program, by whoever gave it', () => {
    room.passed(16 * mib);
    room.close();
    room.close();
    expect(allowed).toEqual([400, 0]);
    expect(clock.waits).toEqual([]);
  });
});
