import { describe, expect, it } from 'vitest';
import type { Command } from '../../../head/scheduler/command.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { retireAfterMs } from '../../../head/scheduler/limits.ts';
import { nextRetirementMs } from '../../../head/scheduler/retired.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { aConnect, aSubmit, batchNumber, liveOn, PureHead, someGroup, staged } from '../../kit/state.ts';

/** A head whose batch number 1 has ended at `nowMs`: one job succeeded, one failed. */
function ended(): PureHead {
  const head = new PureHead();
  head.take(aConnect(1));
  head.take(aSubmit(1, { groups: [someGroup({ count: 2 })] }, 'sweep'));
  const [first, second] = liveOn(head);
  if (first) head.take(staged(first));
  if (second) head.take(staged(second, { state: 'failed', reason: 'exit', message: 'exit code 3' }));
  return head;
}

const retire = (deletedSeq = 0): Command => ({ kind: 'retire-batch', batchId: batchNumber(1), deletedSeq });
const one = { batchId: batchNumber(1), jobs: [0, 1] };
const asNew = (head: PureHead) =>
  decodeState(disk.Snapshot.decode(disk.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish()));

describe('a batch', () => {
  it('is retired once it ended 30 days ago, which may be said twice, and not while anything happens to it', () => {
    const head = ended();
    const endedMs = head.nowMs;
    expect(nextRetirementMs(head.state)).toBe(endedMs + retireAfterMs);
    head.nowMs += retireAfterMs - 1;
    expect(head.take(retire()).verdict).toMatchObject({ kind: 'refused', code: 'conflict' });
    head.nowMs += 1;
    head.take({ kind: 'delete-batch', batchId: batchNumber(1) });
    expect(head.take(retire()).verdict).toMatchObject({ kind: 'refused', code: 'conflict' });
    const deletedSeq = head.state.batches.get(batchNumber(1))?.deleted?.seq ?? 0;
    expect(head.take(retire(deletedSeq)).events).toEqual([{ kind: 'batch-retired', batchId: batchNumber(1) }]);
    expect(head.take(retire(deletedSeq)).verdict).toEqual({ kind: 'accepted', events: [] });
    expect(head.state.batches.size).toBe(0);
    expect(nextRetirementMs(head.state)).toBeUndefined();
    expect(violations(head.state)).toEqual([]);
  });

  it('that goes on is not, however long ago it had ended', () => {
    const head = ended();
    head.nowMs += retireAfterMs;
    head.take({ kind: 'retry', ...one });
    expect(head.take(retire()).verdict).toMatchObject({ kind: 'refused', code: 'conflict' });
    const [again] = liveOn(head);
    if (again) head.take(staged(again));
    expect(nextRetirementMs(head.state)).toBe(head.nowMs + retireAfterMs);
  });

  it('that is retired keeps its names and how it ended, also in a snapshot, and runs no more', () => {
    const head = ended();
    head.nowMs += retireAfterMs;
    head.take(retire());
    const kept = head.state.retired.get(batchNumber(1));
    expect(kept).toMatchObject({ namespace: 'lab', name: 'sweep', counts: { succeeded: 1, failed: 1, cancelled: 0 } });
    expect(asNew(head).retired.get(batchNumber(1))).toEqual(kept);
    expect(asNew(head).batchByName).toEqual(head.state.batchByName);
    for (const kind of ['retry', 'cancel', 'hold', 'release'] as const)
      expect(head.take({ kind, ...one }).verdict).toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(`Cannot ${kind} jobs of "lab/sweep": it ended over 30 days ago`),
      });
    expect(head.take(aSubmit(2, {}, 'sweep')).verdict).toMatchObject({ code: 'conflict' });
    expect(head.take(aSubmit(1, { groups: [someGroup({ count: 2 })] }, 'sweep')).verdict).toEqual({
      kind: 'accepted',
      events: [],
    });
  });

  it('that takes the name of a retired one has it after a snapshot, too, and so has one that is retired itself', () => {
    const head = ended();
    head.nowMs += retireAfterMs;
    head.take(retire());
    // Ids are drawn on the laptops of people, whose clocks differ: a later batch may have the lower id.
    const later = aSubmit(0, {}, 'sweep');
    head.take(later.kind === 'submit' ? { ...later, replace: true } : later);
    expect(asNew(head).batchByName).toEqual(head.state.batchByName);
    const [only] = liveOn(head);
    if (only) head.take(staged(only));
    head.nowMs += retireAfterMs;
    head.take({ kind: 'retire-batch', batchId: batchNumber(0), deletedSeq: 0 });
    expect(head.state.retired.size).toBe(2);
    expect([...asNew(head).batchByName.values()]).toEqual([batchNumber(0)]);
    expect(violations(head.state)).toEqual([]);
  });

  it('that takes the name of one that is not retired has it after a snapshot, too, also with the lower id', () => {
    const head = ended();
    const later = aSubmit(0, {}, 'sweep');
    head.take(later.kind === 'submit' ? { ...later, replace: true } : later);
    expect([...head.state.batchByName.values()]).toEqual([batchNumber(0)]);
    expect(asNew(head).batchByName).toEqual(head.state.batchByName);
  });
});
