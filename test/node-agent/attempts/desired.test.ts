import { describe, expect, it } from 'vitest';
import { startable } from '../../../node-agent/attempts/desired.ts';
import { anAttempt } from '../../kit/attempts.ts';

const running = { kind: 'running', startedAtMs: 1 } as const;

describe('what may start', () => {
  it('starts in the order assigned as many as fit', () => {
    const attempts = [anAttempt(0), anAttempt(1), anAttempt(2)];
    expect(startable(attempts, 2)).toEqual([attempts[0]?.id, attempts[1]?.id]);
  });

  it('counts cores until the processes have ended, and no longer', () => {
    const archiving = {
      kind: 'archiving',
      startedAtMs: 1,
      endedAtMs: 2,
      ending: { kind: 'exited', exitCode: 0, ranMs: 1 },
    } as const;
    expect(startable([anAttempt(0, running), anAttempt(1)], 1)).toEqual([]);
    expect(startable([anAttempt(0, archiving), anAttempt(1)], 1)).toHaveLength(1);
  });

  it('lets narrow jobs wait behind a wide one that does not fit yet', () => {
    const wide = { kind: 'assigned' } as const;
    expect(startable([anAttempt(0, running), anAttempt(1, wide, { cpus: 4 }), anAttempt(2)], 4)).toEqual([]);
  });

  it('runs alone what is wider than the node has become', () => {
    expect(startable([anAttempt(0, { kind: 'assigned' }, { cpus: 8 })], 4)).toHaveLength(1);
  });
});
