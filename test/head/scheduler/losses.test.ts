import { describe, expect, it } from 'vitest';
import { explain } from '../../../head/scheduler/explain.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { leaseMs, lossesMax } from '../../../head/scheduler/limits.ts';
import { aConnect, aSubmit, batchNumber, liveOn, nodeNumber, PureHead, staged } from '../../kit/state.ts';

/** Nodes that are there, and a job that runs on one of them. */
function runningOn(nodes: number): PureHead {
  const head = new PureHead();
  for (let at = 1; at <= nodes; at++) head.take(aConnect(at, { cpus: 1 }));
  head.take(aSubmit(1));
  begin(head);
  return head;
}

function one(head: PureHead) {
  const [first] = liveOn(head);
  if (!first) throw new Error('something lives');
  return first;
}

function theBatch(head: PureHead) {
  const batch = head.state.batches.get(batchNumber(1));
  if (!batch) throw new Error('the batch is there');
  return batch;
}

function begin(head: PureHead): void {
  const { nodeId, ref } = one(head);
  const phase = 'running';
  head.take({ kind: 'progress-attempt', nodeId, attempt: ref, phase, startedMsAgo: undefined });
}

/** Its node falls silent for longer than the lease. */
function fallSilent(head: PureHead): void {
  head.take({ kind: 'disconnect-node', nodeId: one(head).nodeId });
  head.nowMs += leaseMs;
  head.take({ kind: 'tick' });
}

describe('a job that takes its machines down', () => {
  it('fails when the fifth of them says that it was started anew', () => {
    const head = runningOn(1);
    for (let loss = 1; loss < lossesMax; loss++) {
      const { nodeId, ref } = one(head);
      head.take({ kind: 'lose-attempt', nodeId, attempt: ref, message: 'the machine went down' });
      expect(one(head).ref.attempt).toBe(loss + 1);
    }
    const { nodeId, ref } = one(head);
    head.take({ kind: 'lose-attempt', nodeId, attempt: ref, message: 'the machine went down' });
    expect(liveOn(head)).toEqual([]);
    expect(theBatch(head)).toMatchObject({ ended: { state: 'failed' } });
    expect(theBatch(head).rows.retriesUsed[0]).toBe(0);
  });

  it('is not given to a sixth when five have fallen silent under it, and says why', () => {
    const head = runningOn(lossesMax + 1);
    for (let silent = 1; silent < lossesMax; silent++) {
      fallSilent(head);
      expect(one(head).ref.attempt, `after ${silent}`).toBe(silent + 1);
      begin(head);
    }
    const last = one(head);
    fallSilent(head);
    expect(one(head)).toMatchObject({ ref: last.ref, nodeId: last.nodeId });
    expect(explain(head.state, theBatch(head), 0, head.nowMs).summary).toContain(
      'so it waits for that node; "labrun requeue"',
    );
    expect(violations(head.state)).toEqual([]);

    // Its result still counts when the node is back.
    head.take(staged(last));
    expect(theBatch(head).ended?.state).toBe('succeeded');
  });

  it('starts elsewhere once somebody says so', () => {
    const head = runningOn(lossesMax + 1);
    for (let silent = 1; silent <= lossesMax; silent++) {
      fallSilent(head);
      if (silent < lossesMax) begin(head);
    }
    head.take({ kind: 'requeue', batchId: batchNumber(1), jobs: [0, 1], notOn: undefined });
    expect(one(head)).toMatchObject({ nodeId: nodeNumber(lossesMax + 1), lapsedSinceMs: undefined });
  });
});

it('holds nothing against a job that had not begun on the nodes that fell silent', () => {
  const head = new PureHead();
  for (let at = 1; at <= lossesMax + 2; at++) head.take(aConnect(at, { cpus: 1 }));
  head.take(aSubmit(1));
  for (let silent = 1; silent <= lossesMax + 1; silent++) fallSilent(head);
  expect(one(head)).toMatchObject({ ref: { attempt: lossesMax + 2 }, lapsedSinceMs: undefined });
});
