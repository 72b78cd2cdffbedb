import { describe, expect, it } from 'vitest';
import { nextDeadlineMs } from '../../../head/scheduler/deadline.ts';
import { explain } from '../../../head/scheduler/explain.ts';
import { lapsedPatienceMs, leaseMs, restMs } from '../../../head/scheduler/limits.ts';
import { someNeeds } from '../../kit/spec.ts';
import {
  aConnect,
  aSubmit,
  batchNumber,
  liveOn,
  nodeNumber,
  PureHead,
  returned,
  someGroup,
  staged,
  theCluster,
} from '../../kit/state.ts';

describe('place', () => {
  it('leaves a node alone that has just run out of something, and asks it again later', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    const [only] = liveOn(head);
    if (!only) throw new Error('nothing was placed');
    head.take(returned(only, 'disk-full'));
    expect(liveOn(head)).toEqual([]);
    expect(nextDeadlineMs(head.state, head.nowMs)).toBe(head.nowMs + restMs);
    head.nowMs += restMs;
    head.take({ kind: 'tick' });
    expect(liveOn(head)).toHaveLength(1);
  });

  it('keeps a node for others that gives back one batch each time, and asks it about that ever more rarely', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 1 }));
    const ofBob = (at: number, over = {}) => head.take(aSubmit(at, over), { kind: 'user', name: 'bob' });
    ofBob(2, { groups: [someGroup({ count: 50 })] });
    head.take(staged(first(head, 1)));
    head.take(aSubmit(1, { groups: [someGroup({ count: 3 })] }), { kind: 'user', name: 'ada' });
    const gives: number[] = [];
    const startedMs = head.nowMs;
    let ended = 0;
    while (head.nowMs < startedMs + 3_600_000 && ended < 40) {
      for (const attempt of liveOn(head).filter(({ ref }) => ref.batchId === batchNumber(1))) {
        head.take(returned(attempt, 'disk-full'));
        gives.push(head.nowMs - startedMs);
      }
      const [good] = liveOn(head);
      if (good) {
        head.take(staged(good));
        ended += 1;
      }
      head.nowMs += 10_000;
      head.take({ kind: 'tick' });
    }
    expect(ended).toBe(40);
    expect(gives.length).toBeLessThanOrEqual(6);
    const batch = head.state.batches.get(batchNumber(1));
    if (!batch) throw new Error('the batch waits');
    expect(explain(head.state, batch, 0, head.nowMs).nodes[0]?.reason).toMatch(/gave jobs of its batch back \d times/);
    // It is not forgotten, and what is deadline to others is one to it.
    head.take({ kind: 'cancel', batchId: batchNumber(2), jobs: [0, 50] });
    for (const attempt of liveOn(head)) head.take(staged(attempt, { state: 'cancelled' }));
    head.nowMs = nextDeadlineMs(head.state, head.nowMs) ?? 0;
    head.take({ kind: 'tick' });
    expect(liveOn(head).map(({ ref }) => ref.batchId)).toContain(batchNumber(1));
  });

  it('names no deadline that has passed, so that no timer fires again and again for nothing', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    const [only] = liveOn(head);
    if (!only) throw new Error('nothing was placed');
    head.take(returned(only, 'disk-full'));
    head.take({ kind: 'cancel', batchId: only.ref.batchId, jobs: [0, 1] });
    head.nowMs += restMs;
    head.take({ kind: 'tick' });
    expect(nextDeadlineMs(head.state, head.nowMs)).toBeUndefined();
  });

  it('asks back only as many jobs as another node has room for, the last assigned first', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 4 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 9 })] }));
    const [first] = liveOn(head);
    if (first) head.take(staged(first));
    head.take(aConnect(2, { cpus: 1 }));
    for (const attempt of liveOn(head, 1).slice(0, 4)) {
      const { ref, nodeId } = attempt;
      head.take({ kind: 'progress-attempt', nodeId, attempt: ref, phase: 'running', startedMsAgo: 0 });
    }
    expect(
      liveOn(head)
        .filter((attempt) => attempt.recalled)
        .map((attempt) => attempt.ref.index),
    ).toEqual([8]);
  });

  it('asks nothing back that its node could start itself', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 4 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 6 })] }));
    for (const attempt of liveOn(head).slice(0, 3)) head.take(staged(attempt));
    head.take(aConnect(2, { cpus: 4 }));
    expect(liveOn(head).some((attempt) => attempt.recalled)).toBe(false);
  });

  it('gives a job that asks for nothing the whole node', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 8 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 3, needs: someNeeds({ cpus: 0 }) })] }));
    expect(liveOn(head).map((attempt) => attempt.cpus)).toEqual([8, 8]); // one runs, one waits there
  });

  it('uses the gpu machine for other jobs rather than let it idle', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 1, gpus: 1, capabilities: { gpu: '' } }));
    head.take(aConnect(2, { cpus: 1 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 2 })] }));
    expect(liveOn(head).map((attempt) => attempt.nodeId)).toEqual([nodeNumber(2), nodeNumber(1)]);
  });

  it('prefers the node that has the build already', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aConnect(2));
    head.take({
      kind: 'report-build',
      nodeId: nodeNumber(2),
      digest: 'blake3:build',
      state: 'ready',
      message: '',
    });
    head.take(aSubmit(1, { buildDigest: 'blake3:build' }));
    expect(liveOn(head)[0]?.nodeId).toBe(nodeNumber(2));
  });

  it('gives nothing to a node that does not know what a batch needs', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1, { features: ['runtime.command', 'runtime.quantum'] }));
    expect(liveOn(head)).toEqual([]);
  });

  it('lets no more of a batch live than maxRunning', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 4 }));
    const submit = aSubmit(1, { groups: [someGroup({ count: 9 })] });
    head.take(submit.kind === 'submit' ? { ...submit, maxRunning: 3 } : submit);
    expect(liveOn(head)).toHaveLength(3);
  });

  it('does not move the number of a lapsed job whose own node is the one that comes back', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    const [only] = liveOn(head);
    if (!only) throw new Error('nothing was placed');
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.nowMs += 600_000;
    head.take({ kind: 'tick' });
    head.take(aConnect(1));
    head.take({
      kind: 'progress-attempt',
      nodeId: nodeNumber(1),
      attempt: only.ref,
      phase: 'running',
      startedMsAgo: 9,
    });
    expect(liveOn(head)).toMatchObject([{ ref: { attempt: 1 }, lapsedSinceMs: undefined }]);
  });

  it('gives every lease a full term when the head starts, also to nodes that were away before', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.nowMs += leaseMs - 1;
    head.take({ kind: 'start-head', version: '0.1.0', clusterId: theCluster });
    expect(nextDeadlineMs(head.state, head.nowMs)).toBe(head.nowMs + leaseMs);
  });

  it('leaves each node its attempts for as long as it was told when it connected', () => {
    const head = new PureHead();
    head.take(aConnect(1, {}, 30_000));
    head.take(aConnect(2, {}, 60_000));
    head.take(aSubmit(1, { groups: [someGroup({ count: 2 })] }));
    for (const at of [1, 2]) head.take({ kind: 'disconnect-node', nodeId: nodeNumber(at) });
    const lapsed = () => liveOn(head).filter((attempt) => attempt.lapsedSinceMs !== undefined).length;
    for (const expected of [1, 2]) {
      expect(nextDeadlineMs(head.state, head.nowMs)).toBe(head.nowMs + 30_000);
      head.nowMs += 29_999;
      head.take({ kind: 'tick' });
      expect(lapsed()).toBe(expected - 1);
      head.nowMs += 1;
      head.take({ kind: 'tick' });
      expect(lapsed()).toBe(expected);
    }
  });

  it('lets a node rest that gives a job back for a build it has not reported', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1, { buildDigest: 'blake3:build' }));
    const [only] = liveOn(head);
    if (only) head.take(returned(only, 'build-failed'));
    expect(liveOn(head)).toEqual([]);
  });

  it('finds its way among thousands of different jobs', () => {
    const head = new PureHead();
    head.take(aSubmit(1, { groups: Array.from({ length: 5_000 }, () => someGroup()) }));
    head.take(aConnect(1, { cpus: 2 }));
    expect(liveOn(head).map((attempt) => attempt.ref.index)).toEqual([0, 1, 2]);
  });

  it('empties a node for a wide job of whoever runs less, which narrow jobs would pass by for ever', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 4 }));
    head.take(aConnect(2, { cpus: 4 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 200 })] }), { kind: 'user', name: 'ada' });
    // Each node is proven, and full of ada's jobs twice over: those that run, and those that wait there.
    for (const at of [1, 2]) head.take(staged(first(head, at)));
    expect([liveOn(head, 1).length, liveOn(head, 2).length]).toEqual([8, 8]);
    head.take(aSubmit(2, { groups: [someGroup({ needs: someNeeds({ cpus: 0 }) })] }), { kind: 'user', name: 'bob' });
    let ends = 0;
    for (; ends < 40 && !hasBobs(head); ends++) head.take(staged(first(head, 1 + (ends % 2))));
    expect(hasBobs(head)).toBe(true);
    expect(ends).toBeLessThanOrEqual(8);
    // Only one of the nodes was kept free of ada's.
    expect(liveOn(head).filter(({ ref }) => ref.batchId === batchNumber(1))).toHaveLength(12);
  });

  it('starts jobs of a node that is gone elsewhere also where there is always more to do, after an hour of patience', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 2 }));
    head.take(aSubmit(2), { kind: 'user', name: 'bob' });
    head.take(aConnect(2, { cpus: 2 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 900 })] }), { kind: 'user', name: 'ada' });
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.nowMs += leaseMs + 500;
    head.take({ kind: 'tick' });
    const restarted = () => liveOn(head, 2).some(({ ref }) => ref.batchId === batchNumber(2));
    const work = (ends: number) => {
      for (let at = 0; at < ends && !restarted(); at++) head.take(staged(first(head, 2)));
    };
    // Its node may come back with it, and nothing idles meanwhile: many waves of short jobs are given ahead.
    work(100);
    expect(restarted()).toBe(false);
    expect(liveOn(head, 2)).toHaveLength(18);
    head.nowMs += lapsedPatienceMs;
    work(18);
    expect(restarted()).toBe(true);
  });

  it('lets narrow jobs pass a wide one of somebody who runs more', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 4 }));
    head.take(aConnect(2, { cpus: 4 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 9, needs: someNeeds({ cpus: 0 }) })] }), {
      kind: 'user',
      name: 'bob',
    });
    expect(liveOn(head)).toHaveLength(4);
    head.take(aSubmit(2, { groups: [someGroup({ count: 50 })] }), { kind: 'user', name: 'ada' });
    head.take(staged(first(head, 1)));
    expect(liveOn(head, 1).filter(({ ref }) => ref.batchId === batchNumber(2)).length).toBeGreaterThan(0);
  });
});

/** The attempt that a node has had for longest. */
function first(head: PureHead, at: number) {
  const [attempt] = liveOn(head, at);
  if (!attempt) throw new Error(`nothing is on node ${at}`);
  return attempt;
}

const hasBobs = (head: PureHead) => liveOn(head).some(({ ref }) => ref.batchId === batchNumber(2));
