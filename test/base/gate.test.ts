import { describe, expect, it } from 'vitest';
import { Gate } from '../../base/gate.ts';

const never = new AbortController().signal;

describe('a gate', () => {
  it('lets everybody through while it is open', async () => {
    const gate = new Gate(() => true);
    await gate.pass(never);
    expect(gate.waiting).toBe(0);
  });

  it('keeps who waits until it is open, also when it is closed again before they could go', async () => {
    let isOpen = false;
    let passed = 0;
    const gate = new Gate(() => isOpen);
    const going = [1, 2].map(() => gate.pass(never).then(() => ++passed));
    isOpen = true;
    gate.opened();
    isOpen = false;
    await Promise.resolve();
    expect([passed, gate.waiting]).toEqual([0, 2]);
    isOpen = true;
    gate.opened();
    await Promise.all(going);
    expect([passed, gate.waiting]).toEqual([2, 0]);
  });

  it('forgets at once who does not want to pass any more', async () => {
    const gate = new Gate(() => false);
    const wanted = new AbortController();
    const waiting = gate.pass(wanted.signal);
    const refused = gate.pass(AbortSignal.abort(new Error('never wanted')));
    await expect(refused).rejects.toThrow('never wanted');
    expect(gate.waiting).toBe(1);
    wanted.abort(new Error('not wanted'));
    expect(gate.waiting).toBe(0);
    await expect(waiting).rejects.toThrow('not wanted');
  });
});
