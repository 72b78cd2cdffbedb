import { describe, expect, it } from 'vitest';
import { violations } from '../../../head/scheduler/invariants.ts';
import { jobsMax, lossesMax } from '../../../head/scheduler/limits.ts';
import {
  aConnect,
  aSubmit,
  batchNumber,
  liveOn,
  nodeNumber,
  PureHead,
  returned,
  someGroup,
  someSubmission,
  staged,
} from '../../kit/state.ts';

/** A head with one node and the only job of batch 1 placed there. */
function placed(): PureHead {
  const head = new PureHead();
  head.take(aConnect(1, { cpus: 1 }));
  head.take(aSubmit(1));
  return head;
}

const counts = (head: PureHead) => head.state.batches.get(batchNumber(1))?.rows.counts;

describe('decide', () => {
  it('accepts the same submission twice and makes one batch of it', () => {
    const head = placed();
    expect(head.take(aSubmit(1))).toEqual({ verdict: { kind: 'accepted', events: [] }, events: [] });
    expect(head.take(aSubmit(1, { specHash: 'blake3:other' })).verdict).toMatchObject({ code: 'conflict' });
  });

  it('accepts the same addition twice and adds it once', () => {
    const head = placed();
    const extend = {
      kind: 'extend',
      extensionId: batchNumber(70),
      submission: someSubmission(1, { groups: [someGroup({ count: 3 })] }),
      added: [1, 2],
      changed: [],
      partsSeen: 1,
    } as const;
    head.take(extend);
    head.take(extend);
    expect(head.state.batches.get(batchNumber(1))?.rows.count).toBe(3);
    expect(head.take({ ...extend, extensionId: batchNumber(71) }).verdict).toMatchObject({ code: 'busy' });
  });

  it('refuses a batch of more jobs than the limit', () => {
    const head = new PureHead();
    const { verdict } = head.take(aSubmit(1, { groups: [someGroup({ count: jobsMax + 1 })] }));
    expect(verdict).toMatchObject({ kind: 'refused', code: 'limit' });
  });

  it('counts lost attempts apart from those given back', () => {
    const head = placed();
    for (let times = 0; times < 2 * lossesMax; times++) {
      const [attempt] = liveOn(head);
      if (attempt) head.take(returned(attempt, 'recalled'));
    }
    for (let loss = 1; loss <= lossesMax; loss++) {
      const [attempt] = liveOn(head);
      if (!attempt) throw new Error(`the job is not placed before loss ${loss}`);
      head.take({ kind: 'lose-attempt', nodeId: attempt.nodeId, attempt: attempt.ref, message: 'rebooted' });
    }
    expect(counts(head)).toMatchObject({ live: 0, failed: 1 });
  });

  it('gives a retried job all its retries again', () => {
    const head = placed();
    const broken = { state: 'failed', reason: 'exit' } as const;
    const [first] = liveOn(head);
    if (first) head.take(staged(first, broken));
    expect(counts(head)).toMatchObject({ failed: 1 });
    head.take({ kind: 'retry', batchId: batchNumber(1), jobs: [0, 1] });
    expect(liveOn(head)).toMatchObject([{ ref: { attempt: 2 } }]);
    expect(head.state.batches.get(batchNumber(1))?.ended).toBeUndefined();
  });

  it('holds and releases only what waits, and a batch with held jobs has not ended', () => {
    const head = placed();
    head.take({ kind: 'hold', batchId: batchNumber(1), jobs: [0, 1] });
    expect(counts(head)).toMatchObject({ live: 1, held: 0 });
    head.take(aSubmit(2, { groups: [someGroup({ count: 4 })] }));
    head.take({ kind: 'hold', batchId: batchNumber(2), jobs: [0, 4] });
    for (const attempt of liveOn(head)) head.take(staged(attempt));
    const second = head.state.batches.get(batchNumber(2));
    expect(second?.rows.counts.held).toBeGreaterThan(0);
    expect(second?.ended).toBeUndefined();
    head.take({ kind: 'release', batchId: batchNumber(2), jobs: [0, 4] });
    for (let turn = 0; turn < 4; turn++) for (const attempt of liveOn(head)) head.take(staged(attempt));
    expect(head.state.batches.get(batchNumber(2))?.ended?.state).toBe('succeeded');
  });

  it('ends a cancelled job whose node stays silent, whichever came first', () => {
    for (const first of ['cancel', 'silence'] as const) {
      const head = placed();
      const cancel = () => head.take({ kind: 'cancel', batchId: batchNumber(1), jobs: [0, 1] });
      if (first === 'cancel') cancel();
      head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
      head.nowMs += 600_000;
      head.take({ kind: 'tick' });
      if (first === 'silence') cancel();
      expect(head.state.batches.get(batchNumber(1))?.ended?.state, first).toBe('cancelled');
      expect(violations(head.state)).toEqual([]);
    }
  });

  it('lets a build be tried again on a node when it is retried, and when the node has changed', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1, { buildDigest: 'blake3:build' }));
    const fail = () => {
      head.take({
        kind: 'report-build',
        nodeId: nodeNumber(1),
        digest: 'blake3:build',
        state: 'failed',
        message: 'no',
      });
      for (const attempt of liveOn(head)) head.take(returned(attempt, 'build-failed'));
    };
    fail();
    expect(counts(head)).toMatchObject({ failed: 1 });
    head.take({ kind: 'retry', batchId: batchNumber(1), jobs: [0, 1] });
    expect(liveOn(head)).toHaveLength(1);
    fail();
    head.take(aConnect(1));
    expect(head.state.nodes.get(nodeNumber(1))?.failedBuilds.size).toBe(1);
    head.take(aConnect(1, { capabilities: { gfortran: '13' } }));
    expect(head.state.nodes.get(nodeNumber(1))?.failedBuilds.size).toBe(0);
  });
});
