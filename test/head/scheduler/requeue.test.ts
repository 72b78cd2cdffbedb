import { describe, expect, it } from 'vitest';
import { explain } from '../../../head/scheduler/explain.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { exclusionsMax, leaseMs } from '../../../head/scheduler/limits.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { aConnect, aSubmit, batchNumber, liveOn, nodeNumber, PureHead, someGroup, staged } from '../../kit/state.ts';

const stopped = { state: 'cancelled', message: 'stopped' } as const;

const theBatch = (head: PureHead) => {
  const batch = head.state.batches.get(batchNumber(1));
  if (!batch) throw new Error('the batch is there');
  return batch;
};

/** Nodes of one core, and a batch. */
function nodesWith(nodes: number, count = 1): PureHead {
  const head = new PureHead();
  for (let at = 1; at <= nodes; at++) head.take(aConnect(at, { cpus: 1 }));
  head.take(aSubmit(1, { groups: [someGroup({ count })] }));
  return head;
}

const requeue = (head: PureHead, notOn?: number, jobs = [0, 1]) =>
  head.take({
    kind: 'requeue',
    batchId: batchNumber(1),
    jobs,
    notOn: notOn === undefined ? undefined : nodeNumber(notOn),
  });

/** The first live attempt of node `at`, or of any. */
function one(head: PureHead, at?: number) {
  const [first] = liveOn(head, at);
  if (!first) throw new Error('something lives');
  return first;
}

describe('requeue', () => {
  it('stops what runs and lets it wait again, which counts as no retry and no failure', () => {
    const head = nodesWith(1);
    const { events } = requeue(head);
    expect(events.map(({ kind }) => kind)).toEqual(['attempt-requeued']);
    expect(one(head)).toMatchObject({ cancelling: true, requeueing: true });
    expect(explain(head.state, theBatch(head), 0, head.nowMs).summary).toMatch(/^Being stopped on ws1; it waits again/);
    head.take(staged(one(head), stopped));
    expect(one(head).ref.attempt).toBe(2);
    expect(theBatch(head).rows.retriesUsed[0]).toBe(0);
    expect(theBatch(head).trials.get(nodeNumber(1))).toBeUndefined();
    head.take(staged(one(head)));
    expect(theBatch(head).ended?.state).toBe('succeeded');
  });

  it('lets it wait again however it ends, but for a success that came first', () => {
    for (const outcome of [stopped, { state: 'failed', reason: 'signal' } as const]) {
      const head = nodesWith(1);
      requeue(head);
      head.take(staged(one(head), outcome));
      expect(one(head).ref.attempt).toBe(2);
    }
    const returned = nodesWith(1);
    requeue(returned);
    const { nodeId, ref } = one(returned);
    returned.take({ kind: 'return-attempt', nodeId, attempt: ref, reason: 'cancelled', message: '' });
    expect(one(returned).ref.attempt).toBe(2);
    const lost = nodesWith(1);
    requeue(lost);
    lost.take({ kind: 'lose-attempt', nodeId, attempt: ref, message: 'gone' });
    expect(one(lost).ref.attempt).toBe(2);
    expect(theBatch(lost).rows.losses[0]).toBe(0);
    const done = nodesWith(1);
    requeue(done);
    done.take(staged(one(done)));
    expect(theBatch(done).ended?.state).toBe('succeeded');
  });

  it('never runs a job again on the node it is kept from', () => {
    const head = nodesWith(2);
    const there = one(head).nodeId === nodeNumber(1) ? 1 : 2;
    requeue(head, there);
    head.take(staged(one(head), stopped));
    expect(one(head).nodeId).not.toBe(nodeNumber(there));
    const other = there === 1 ? 2 : 1;
    requeue(head, other);
    head.take(staged(one(head), stopped));
    expect(liveOn(head)).toEqual([]);
    const { summary, nodes } = explain(head.state, theBatch(head), 0, head.nowMs);
    expect(nodes.map(({ fits }) => fits)).toEqual([false, false]);
    expect(summary).toMatch(/ws1 is kept from it by a requeue/);
    head.take(aConnect(3));
    expect(one(head).nodeId).toBe(nodeNumber(3));
    expect(violations(head.state)).toEqual([]);
  });

  it('leaves alone what runs on other nodes than the one jobs are kept from', () => {
    const head = nodesWith(2, 2);
    requeue(head, 1, [0, 2]);
    expect(liveOn(head, 1).every((attempt) => attempt.requeueing)).toBe(true);
    expect(liveOn(head, 2).some((attempt) => attempt.cancelling)).toBe(false);
    expect(theBatch(head).exclusions.size).toBe(2);
  });

  it('keeps jobs that wait from a node, and runs those behind them there', () => {
    const head = nodesWith(1, 100);
    requeue(head, 1, [2, 48]);
    const ran = new Set<number>();
    for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) {
      ran.add(attempt.ref.index);
      head.take(staged(attempt));
    }
    expect(ran.size).toBe(52);
    expect(theBatch(head).rows.counts.queued).toBe(48);
    head.take(aConnect(2, { cpus: 1 }));
    expect(liveOn(head, 2)[0]?.ref.index).toBe(2);
  });

  it('may be followed by a cancel, which then holds', () => {
    const head = nodesWith(1);
    requeue(head);
    head.take({ kind: 'cancel', batchId: batchNumber(1), jobs: [0, 1] });
    head.take(staged(one(head), stopped));
    expect(theBatch(head).ended?.state).toBe('cancelled');
    const cancelled = nodesWith(1);
    cancelled.take({ kind: 'cancel', batchId: batchNumber(1), jobs: [0, 1] });
    expect(requeue(cancelled).events).toEqual([]);
  });

  it('waits for no node that has been silent past its lease', () => {
    const head = nodesWith(2);
    const lapsed = one(head);
    head.take({ kind: 'disconnect-node', nodeId: lapsed.nodeId });
    requeue(head);
    head.nowMs += leaseMs;
    head.take({ kind: 'tick' });
    expect(liveOn(head)).toMatchObject([{ ref: { attempt: 2 }, requeueing: false }]);
    expect(one(head).nodeId).not.toBe(lapsed.nodeId);
    expect(head.take(staged(lapsed)).verdict).toMatchObject({ kind: 'refused', code: 'stale' });
  });

  it('refuses a node that is not there, and more exclusions than it can keep', () => {
    const head = nodesWith(1, exclusionsMax + 1);
    expect(requeue(head, 9).verdict).toMatchObject({ code: 'not-found' });
    expect(requeue(head, 1, [0, exclusionsMax + 1]).verdict).toMatchObject({ code: 'limit' });
    expect(requeue(head, 1, [0, exclusionsMax]).verdict.kind).toBe('accepted');
  });

  it('is in a snapshot', () => {
    const head = nodesWith(2, 3);
    requeue(head, 1, [0, 3]);
    const bytes = disk.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish();
    const loaded = decodeState(disk.Snapshot.decode(bytes));
    expect(loaded.batches.get(batchNumber(1))?.exclusions).toEqual(theBatch(head).exclusions);
    expect(loaded.attempts).toEqual(head.state.attempts);
  });
});
