import { beforeEach, describe, expect, it } from 'vitest';
import { Lease } from '../../../node-agent/uplink/lease.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

describe('a lease', () => {
  let clock: ManualClock;
  let lease: Lease;
  const renew = () => lease.renew(clock.sinceBootMs());
  beforeEach(() => {
    clock = new ManualClock();
    lease = new Lease(clock);
    lease.setTerm(600_000);
  });

  it('does not hold before the head has said what is still ours', () => {
    expect(lease.isValid).toBe(false);
    expect(renew()).toBe(true);
    expect(lease.isValid).toBe(true);
    expect(renew()).toBe(false);
  });

  it('ends before the head thinks so', () => {
    renew();
    clock.advance(569_999);
    expect(lease.isValid).toBe(true);
    clock.advance(1);
    expect(lease.isValid).toBe(false);
    expect(renew()).toBe(true);
  });

  it('runs from when we spoke, however late the answer is read', () => {
    renew();
    const spokeMs = clock.sinceBootMs();
    clock.advance(900_000);
    expect(lease.renew(spokeMs)).toBe(false);
    expect(lease.isValid).toBe(false);
    expect(lease.renew(clock.sinceBootMs() - 60_000)).toBe(true);
    clock.advance(509_999);
    expect(lease.isValid).toBe(true);
    clock.advance(1);
    expect(lease.isValid).toBe(false);
  });

  it('is as short as what the head grants now, also before it is renewed', () => {
    renew();
    clock.advance(30_000);
    lease.setTerm(30_000);
    expect(lease.isValid).toBe(false);
    expect(renew()).toBe(true);
    clock.advance(28_500);
    expect(lease.isValid).toBe(false);
  });

  it('makes who wants to start something wait until it holds again, or until it is not wanted any more', async () => {
    const wanted = new AbortController();
    const waiting = lease.valid(wanted.signal);
    const stopped = lease.valid(AbortSignal.abort(new Error('not wanted')));
    await expect(stopped).rejects.toThrow('not wanted');
    renew();
    await waiting;
    clock.advance(600_000);
    const late = lease.valid(wanted.signal);
    wanted.abort(new Error('given to another'));
    await expect(late).rejects.toThrow('given to another');
  });
});
