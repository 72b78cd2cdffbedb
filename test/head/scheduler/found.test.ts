import { describe, expect, it } from 'vitest';
import { attemptId } from '../../../base/ids.ts';
import { type HeldPhase, reconcile } from '../../../head/dispatch/reconcile.ts';
import { apply } from '../../../head/scheduler/apply.ts';
import type { HeldAttempt } from '../../../head/scheduler/command.ts';
import { nextDeadlineMs } from '../../../head/scheduler/deadline.ts';
import { explain } from '../../../head/scheduler/explain.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { settleMs } from '../../../head/scheduler/limits.ts';
import { decodeEvent } from '../../../head/store/event-decode.ts';
import { encodeEvent } from '../../../head/store/event-encode.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { aConnect, aSubmit, batchNumber, liveOn, nodeNumber, PureHead, staged, theCluster } from '../../kit/state.ts';

const system = { kind: 'system', name: 'head' } as const;
const job = { batchId: batchNumber(1), index: 0 };
const held = (attempt: number, isOver = false): HeldAttempt => ({ attempt: { ...job, attempt }, isOver });

/** Node number `at` says hello with what it holds. */
function hello(head: PureHead, at: number, attempts: readonly HeldAttempt[]) {
  return head.take({ ...aConnect(at, { cpus: 1 }), held: attempts } as Parameters<PureHead['take']>[0]);
}

/** A head whose log ends after the submit of one job, and that knows that more is gone. Nodes 1 and 2 are known. */
function aShortenedHead(more: (head: PureHead) => void = () => {}): PureHead {
  const head = new PureHead();
  head.take({ kind: 'start-head', version: '0', clusterId: theCluster });
  for (const at of [1, 2]) {
    head.take(aConnect(at, { cpus: 1 }));
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(at) });
  }
  head.take(aSubmit(1));
  more(head);
  head.take({ kind: 'note-shortened', how: 'restored', message: 'restored' }, system);
  head.take({ kind: 'start-head', version: '0', clusterId: theCluster });
  return head;
}

function told(head: PureHead, at: number, attempt: number, phase: HeldPhase) {
  const view = { held: new Map([[attemptId(job, attempt), phase]]), told: new Map() };
  const { changes } = reconcile(head.state, nodeNumber(at), view);
  return changes.filter(({ attempt: ref }) => ref.attempt === attempt).map(({ kind }) => kind);
}

describe('an attempt that the log never gave', () => {
  it('goes on where it is when the log has lost its end, and its result counts', () => {
    const head = aShortenedHead();
    const { events } = hello(head, 1, [held(3)]);
    expect(events.map(({ kind }) => kind)).toEqual(['node-connected', 'attempt-found', 'attempt-assigned']);
    const [attempt] = liveOn(head, 1);
    expect(attempt?.ref.attempt).toBe(3);
    expect(told(head, 1, 3, 'running')).toEqual([]);
    expect(violations(head.state)).toEqual([]);
    if (attempt) head.take(staged(attempt));
    expect(head.state.batches.get(job.batchId)?.ended?.state).toBe('succeeded');
    expect(told(head, 1, 3, 'ended')).toEqual(['settle']);
  });

  it('gives nobody a job without such a gap, but its number is not used again', () => {
    const head = new PureHead();
    head.take(aSubmit(1));
    hello(head, 1, [held(3)]);
    expect(liveOn(head).map(({ ref, nodeId }) => [ref.attempt, nodeId])).toEqual([[4, nodeNumber(1)]]);
    expect(told(head, 1, 3, 'running')).toEqual(['discard']);
  });

  it('is kept, neither told to go nor to end, while its job runs on a node that is here', () => {
    const head = aShortenedHead();
    hello(head, 1, []);
    head.nowMs += settleMs;
    head.take({ kind: 'tick' });
    expect(liveOn(head, 1).map(({ ref }) => ref.attempt)).toEqual([1]);
    hello(head, 2, [held(3)]);
    expect(liveOn(head).map(({ nodeId }) => nodeId)).toEqual([nodeNumber(1)]);
    for (const phase of ['running', 'ended'] as const) expect(told(head, 2, 3, phase)).toEqual([]);
    const [other] = liveOn(head, 1);
    if (other) head.take(staged(other));
    expect(told(head, 2, 3, 'ended')).toEqual(['discard']);
  });

  it('gets the job when the one that the log knows is on a node that is away', () => {
    const head = aShortenedHead((before) => {
      before.take(aConnect(1, { cpus: 1 }));
    });
    expect(liveOn(head, 1).map(({ ref }) => ref.attempt)).toEqual([1]);
    hello(head, 2, [held(2)]);
    expect(liveOn(head).map(({ ref, nodeId }) => [ref.attempt, nodeId])).toEqual([[2, nodeNumber(2)]]);
    hello(head, 1, [held(1)]);
    expect(told(head, 1, 1, 'running')).toEqual(['discard']);
    expect(violations(head.state)).toEqual([]);
  });

  it('gets a job that is held, which it was not when it began', () => {
    const head = aShortenedHead((before) => {
      before.take({ kind: 'hold', batchId: job.batchId, jobs: [0, 1] });
    });
    hello(head, 1, [held(2)]);
    expect(liveOn(head, 1).map(({ ref }) => ref.attempt)).toEqual([2]);
    expect(violations(head.state)).toEqual([]);
  });

  it('is discarded when its job has ended', () => {
    const head = aShortenedHead((before) => {
      before.take({ kind: 'cancel', batchId: job.batchId, jobs: [0, 1] });
    });
    hello(head, 1, [held(2)]);
    expect(liveOn(head)).toEqual([]);
    expect(told(head, 1, 2, 'ended')).toEqual(['discard']);
    head.take({ kind: 'retry', batchId: job.batchId, jobs: [0, 1] });
    head.nowMs += settleMs;
    head.take({ kind: 'tick' });
    expect(liveOn(head).map(({ ref }) => ref.attempt)).toEqual([3]);
  });

  it('that is over is forgotten, and its number is not used again', () => {
    const head = aShortenedHead();
    hello(head, 1, [held(5, true), held(4, true)]);
    expect(told(head, 1, 5, 'wiped')).toEqual(['forget']);
    hello(head, 2, []);
    expect(liveOn(head).map(({ ref }) => ref.attempt)).toEqual([6]);
  });

  it('is not believed when its number is beyond reason, or its batch unknown', () => {
    const head = aShortenedHead();
    const strange: HeldAttempt = { attempt: { batchId: batchNumber(9), index: 0, attempt: 1 }, isOver: false };
    const beyond: HeldAttempt = { attempt: { ...job, index: 7, attempt: 1 }, isOver: false };
    const { events } = hello(head, 1, [held(900_000), strange, beyond]);
    expect(events.map(({ kind }) => kind)).toEqual(['node-connected']);
    expect(told(head, 1, 900_000, 'running')).toEqual([]);
  });

  it('is remembered by snapshots and events', () => {
    const head = aShortenedHead();
    hello(head, 1, [held(5, true)]);
    const bytes = disk.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish();
    const again = decodeState(disk.Snapshot.decode(bytes));
    expect(again.gap).toEqual(head.state.gap);
    expect(again.batches.get(job.batchId)?.found).toEqual(new Map([[0, 5]]));
    for (const { event } of head.records) expect(decodeEvent(encodeEvent(event))).toEqual(event);
    const replayed = new PureHead();
    for (const record of head.records) apply(replayed.state, record);
    expect(replayed.state.batches.get(job.batchId)?.found).toEqual(new Map([[0, 5]]));
  });
});

describe('a head whose log has lost its end', () => {
  it('gives out nothing before every node it knows has told what it runs', () => {
    const head = aShortenedHead();
    hello(head, 1, []);
    expect(liveOn(head)).toEqual([]);
    const batch = head.state.batches.get(job.batchId);
    expect(batch && explain(head.state, batch, 0, head.nowMs).summary).toContain('hears first what every node runs');
    hello(head, 2, []);
    expect(liveOn(head)).toHaveLength(1);
  });

  it('waits for nodes that stay away no longer than a minute', () => {
    const head = aShortenedHead();
    hello(head, 1, []);
    expect(nextDeadlineMs(head.state, head.nowMs)).toBe(head.nowMs + settleMs);
    head.nowMs += settleMs;
    head.take({ kind: 'tick' });
    expect(liveOn(head)).toHaveLength(1);
  });
});
