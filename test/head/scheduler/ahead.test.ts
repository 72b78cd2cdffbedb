import { describe, expect, it } from 'vitest';
import { nextDeadlineMs } from '../../../head/scheduler/deadline.ts';
import { farAheadMaxMs } from '../../../head/scheduler/limits.ts';
import { aConnect, aSubmit, batchNumber, liveOn, PureHead, returned, someGroup, staged } from '../../kit/state.ts';

/** The jobs of one batch take so long each on a node of two cores, until so many have succeeded. */
function headAfter(ends: number, jobMs: number): PureHead {
  const head = new PureHead();
  head.take(aConnect(1, { cpus: 2 }));
  head.take(aSubmit(1, { groups: [someGroup({ count: 400 })] }));
  for (let at = 0; at < ends; at++) endOne(head, jobMs);
  return head;
}

/** Two run at a time, so that one ends in half of what each takes. */
function endOne(head: PureHead, jobMs: number, state: 'succeeded' | 'failed' = 'succeeded'): void {
  head.nowMs += jobMs / 2;
  const [attempt] = liveOn(head);
  if (!attempt) throw new Error('nothing lives');
  head.take(staged(attempt, { state, ranMs: jobMs, ...(state === 'failed' ? { reason: 'exit' } : {}) }));
}

describe('jobs given ahead', () => {
  it('are one wave until it is known how long they take', () => {
    expect(liveOn(headAfter(40, 10))).toHaveLength(4);
  });

  it('are one wave where jobs take longer than a moment', () => {
    expect(liveOn(headAfter(100, 200))).toHaveLength(4);
    expect(liveOn(headAfter(100, 60_000))).toHaveLength(4);
  });

  it('are many waves of short jobs, asked back as soon as another node is free', () => {
    const head = headAfter(100, 10);
    expect(liveOn(head)).toHaveLength(18);
    head.take(aConnect(2, { cpus: 2 }));
    endOne(head, 10);
    expect(liveOn(head, 2).length).toBeGreaterThan(0);
  });

  it('are asked back but for one wave when they turn out to take longer', () => {
    const head = headAfter(100, 10);
    const [one, two] = liveOn(head);
    for (const { nodeId, ref } of [one, two].filter((attempt) => attempt !== undefined))
      head.take({ kind: 'progress-attempt', nodeId, attempt: ref, phase: 'running', startedMsAgo: 0 });
    const dueMs = nextDeadlineMs(head.state, head.nowMs);
    expect(dueMs).toBeGreaterThan(head.nowMs);
    head.nowMs = (dueMs ?? 0) + farAheadMaxMs;
    head.take({ kind: 'tick' });
    const asked = liveOn(head).filter(({ recalled }) => recalled);
    expect(asked.map(({ ref }) => ref.index)).toEqual(Array.from({ length: 14 }, (_, at) => 104 + at));
    for (const attempt of asked) head.take(returned(attempt, 'recalled'));
    expect(liveOn(head)).toHaveLength(4);
    expect(nextDeadlineMs(head.state, head.nowMs)).toBeUndefined();
  });

  it('are one wave again when somebody else waits, or a job fails', () => {
    const head = headAfter(100, 10);
    head.take(aSubmit(2, { groups: [someGroup({ count: 10 })] }), { kind: 'user', name: 'bob' });
    for (let at = 0; at < 15; at++) endOne(head, 10);
    expect(liveOn(head).filter(({ ref }) => ref.batchId === batchNumber(2)).length).toBeGreaterThan(0);
    expect(liveOn(head)).toHaveLength(4);

    const failing = headAfter(100, 10);
    endOne(failing, 10, 'failed');
    for (let at = 0; at < 17; at++) endOne(failing, 10);
    expect(liveOn(failing)).toHaveLength(4);
  });
});
