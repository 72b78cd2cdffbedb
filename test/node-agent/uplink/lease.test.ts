import { beforeEach, describe, expect, it } from 'vitest';
import { Lease } from '../../../node-agent/uplink/lease.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

describe('a lease', () => {
  let clock: ManualClock;
  let lease: Lease;
  beforeEach(() => {
    clock = new ManualClock();
    lease = new Lease(clock);
    lease.setTerm(600_000);
  });

  it('does not hold before the head has said what is still ours', () => {
    expect(lease.isValid).toBe(false);
    expect(lease.renew()).toBe(true);
    expect(lease.isValid).toBe(true);
    expect(lease.renew()).toBe(false);
  });

  it('ends before the head thinks so', () => {
    lease.renew();
    clock.advance(569_999);
    expect(lease.isValid).toBe(true);
    clock.advance(1);
    expect(lease.isValid).toBe(false);
    expect(lease.renew()).toBe(true);
  });

  it('makes who wants to start something wait until it holds again, or until it is not wanted any more', async () => {
    const wanted = new AbortController();
    const waiting = lease.valid(wanted.signal);
    const stopped = lease.valid(AbortSignal.abort(new Error('not wanted')));
    await expect(stopped).rejects.toThrow('not wanted');
    lease.renew();
    await waiting;
    clock.advance(600_000);
    const late = lease.valid(wanted.signal);
    wanted.abort(new Error('given to another'));
    await expect(late).rejects.toThrow('given to another');
  });
});
