import { describe, expect, it } from 'vitest';
import { explain } from '../../../head/scheduler/explain.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { someNeeds } from '../../kit/spec.ts';
import { aConnect, aSubmit, batchNumber, liveOn, nodeNumber, PureHead, someGroup, staged } from '../../kit/state.ts';

const broken = { state: 'failed', reason: 'exit', message: 'exit 127: python3: not found' } as const;

const theBatch = (head: PureHead) => {
  const batch = head.state.batches.get(batchNumber(1));
  if (!batch) throw new Error('the batch is there');
  return batch;
};

/** Two nodes of one core, and a batch of jobs of one core. */
function twoNodes(count: number, retries = 0): PureHead {
  const head = new PureHead();
  head.take(aConnect(1, { cpus: 1 }));
  head.take(aConnect(2, { cpus: 1 }));
  head.take(aSubmit(1, { groups: [someGroup({ count, retries })] }));
  return head;
}

/** Ends all attempts of node 1 badly and all of node 2 well, round after round, until nothing lives. */
function run(head: PureHead): Map<string, number> {
  const ran = new Map<string, number>();
  for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) {
    const bad = attempt.nodeId === nodeNumber(1);
    ran.set(attempt.nodeId, (ran.get(attempt.nodeId) ?? 0) + 1);
    head.take(staged(attempt, bad ? broken : {}));
  }
  return ran;
}

describe('the trial of a node', () => {
  it('lets a node without a success have as many attempts as it can run at once, and one more', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 4 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 20, needs: someNeeds({ cpus: 2 }) })] }));
    expect(liveOn(head)).toHaveLength(3);
    const [first] = liveOn(head);
    if (first) head.take(staged(first));
    expect(liveOn(head)).toHaveLength(4);
  });

  it('keeps jobs from a node whose failures nobody has confirmed, though the good ones take their time', () => {
    const head = twoNodes(50);
    for (let round = 0; round < 20; round++) for (const attempt of liveOn(head, 1)) head.take(staged(attempt, broken));
    expect(theBatch(head).rows.counts.failed).toBe(0);
    expect([...theBatch(head).rows.attempts].filter((count) => count > 0).length).toBeLessThan(6);
  });

  it('fails no job that one broken node has failed, and none of its retries is spent', () => {
    const head = twoNodes(50, 1);
    run(head);
    expect(theBatch(head).ended?.state).toBe('succeeded');
    expect([...theBatch(head).rows.retriesUsed].every((used) => used === 0)).toBe(true);
  });

  it('decides at once where there is no other node', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 1 }));
    head.take(aSubmit(1));
    const [only] = liveOn(head);
    if (only) head.take(staged(only, broken));
    expect(theBatch(head).ended?.state).toBe('failed');
  });

  it('believes a node that has succeeded before', () => {
    const head = twoNodes(8);
    for (const attempt of liveOn(head)) head.take(staged(attempt));
    const [next] = liveOn(head, 1);
    if (next) head.take(staged(next, broken));
    expect(theBatch(head).rows.counts.failed).toBe(1);
  });

  it('tries a job once elsewhere, then as often as its retries say', () => {
    const head = twoNodes(1, 2);
    const nodes: string[] = [];
    for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) {
      nodes.push(attempt.nodeId);
      head.take(staged(attempt, broken));
    }
    expect(nodes).toHaveLength(4);
    expect(nodes[1]).not.toBe(nodes[0]);
    expect(theBatch(head).ended?.state).toBe('failed');
  });

  it('waits for no node that has gone: the job is tried where it failed', () => {
    const head = twoNodes(1);
    const [first] = liveOn(head);
    if (!first) throw new Error('nothing was placed');
    const [here, there] = first.nodeId === nodeNumber(1) ? [1, 2] : [2, 1];
    head.take(aSubmit(2, { groups: [someGroup({ count: 2 })] }));
    head.take(staged(first, broken));
    const second = liveOn(head, there).find(({ ref }) => ref.batchId === batchNumber(1));
    if (second)
      head.take({
        kind: 'return-attempt',
        nodeId: second.nodeId,
        attempt: second.ref,
        reason: 'recalled',
        message: '',
      });
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(there) });
    for (const attempt of liveOn(head, here)) head.take(staged(attempt));
    expect(theBatch(head).rows.counts.queued).toBe(0);
  });

  it('ends when both nodes are broken', () => {
    const head = twoNodes(20);
    for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) head.take(staged(attempt, broken));
    expect(theBatch(head).rows.counts.failed).toBe(20);
  });

  it('says why a node gets no more', () => {
    const head = twoNodes(50);
    for (let round = 0; round < 5; round++) for (const attempt of liveOn(head, 1)) head.take(staged(attempt, broken));
    const { nodes } = explain(head.state, theBatch(head), 49, head.nowMs);
    expect(nodes[0]?.reason).toBe('has 2 jobs of its batch on trial, and none has succeeded yet');
    const [tried] = theBatch(head).secondTries.keys();
    if (tried === undefined) throw new Error('a job is tried elsewhere');
    expect(explain(head.state, theBatch(head), tried, head.nowMs).nodes[0]?.reason).toBe(
      'saw it fail, and it is tried elsewhere',
    );
  });

  it('is in a snapshot, and forgotten when the batch has ended', () => {
    const head = twoNodes(9);
    for (const attempt of liveOn(head, 1)) head.take(staged(attempt, broken));
    const [good] = liveOn(head, 2);
    if (good) head.take(staged(good));
    const bytes = disk.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish();
    const loaded = decodeState(disk.Snapshot.decode(bytes)).batches.get(batchNumber(1));
    expect(theBatch(head).trials.size).toBe(2);
    expect(theBatch(head).secondTries.size).toBeGreaterThan(0);
    expect(loaded?.trials).toEqual(theBatch(head).trials);
    expect(loaded?.secondTries).toEqual(theBatch(head).secondTries);
    run(head);
    expect(theBatch(head)).toMatchObject({ trials: new Map(), secondTries: new Map() });
  });
});
