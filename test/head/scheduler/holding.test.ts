import { describe, expect, it } from 'vitest';
import type { Command } from '../../../head/scheduler/command.ts';
import { explain } from '../../../head/scheduler/explain.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { firstFailuresMax } from '../../../head/scheduler/limits.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { aConnect, aSubmit, batchNumber, liveOn, PureHead, returned, someGroup, staged } from '../../kit/state.ts';

const broken = { state: 'failed', reason: 'exit', message: 'exit 1' } as const;

const theBatch = (head: PureHead) => {
  const batch = head.state.batches.get(batchNumber(1));
  if (!batch) throw new Error('the batch is there');
  return batch;
};

function submit(count: number, maxFailures?: number, retries = 0): Command {
  const command = aSubmit(1, { groups: [someGroup({ count, retries })] });
  return command.kind === 'submit' ? { ...command, maxFailures } : command;
}

/** A batch on some nodes of one core each. */
function batchOn(nodes: number, count: number, maxFailures?: number, retries = 0): PureHead {
  const head = new PureHead();
  for (let at = 1; at <= nodes; at++) head.take(aConnect(at, { cpus: 1 }));
  head.take(submit(count, maxFailures, retries));
  return head;
}

/** Ends every attempt badly, as long as any lives, and gives back what is asked back. */
function failAll(head: PureHead): void {
  for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) {
    head.take(attempt.recalled ? returned(attempt, 'recalled') : staged(attempt, broken));
    expect(violations(head.state)).toEqual([]);
  }
}

describe('maxFailures', () => {
  it('holds a batch of many jobs whose first have all failed, rather than burn the rest', () => {
    const head = batchOn(2, 1000);
    failAll(head);
    expect(theBatch(head).rows.counts).toMatchObject({ failed: firstFailuresMax, queued: 0, live: 0 });
    expect(theBatch(head).ended).toBeUndefined();
    expect(theBatch(head).held).toBe('the first 10 of its jobs to end have all failed (on ws1, ws2)');
    expect(explain(head.state, theBatch(head), 999, head.nowMs).summary).toMatch(
      /^Held: the first 10 .*labrun release/,
    );
  });

  it('holds it on the only node, too', () => {
    const head = batchOn(1, 21);
    failAll(head);
    expect(theBatch(head).rows.counts).toMatchObject({ failed: 10, held: 11 });
  });

  it('leaves a batch of few jobs, and one whose file says none, to fail to their end', () => {
    for (const head of [batchOn(2, 20), batchOn(2, 50, 0)]) {
      failAll(head);
      expect(theBatch(head).ended?.state).toBe('failed');
    }
  });

  it('believes one success', () => {
    const head = batchOn(1, 40);
    const [first] = liveOn(head);
    if (first) head.take(staged(first));
    failAll(head);
    expect(theBatch(head).rows.counts.failed).toBe(39);
  });

  it('counts anew when somebody lets the batch go on', () => {
    const head = batchOn(2, 100);
    failAll(head);
    head.take({ kind: 'release', batchId: batchNumber(1), jobs: [0, 100] });
    expect(theBatch(head).held).toBe('');
    expect(liveOn(head).length).toBeGreaterThan(0);
    failAll(head);
    expect(theBatch(head).rows.counts).toMatchObject({ failed: 20, held: 80 });
  });

  it('holds at the number that the file says, whatever else has succeeded', () => {
    const head = batchOn(1, 30, 3);
    let ended = 0;
    for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) {
      if (attempt.recalled) head.take(returned(attempt, 'recalled'));
      else head.take(staged(attempt, ended++ % 2 === 0 ? broken : {}));
    }
    expect(theBatch(head).rows.counts).toMatchObject({ failed: 3, succeeded: 2, held: 25 });
  });

  it('holds what comes back of a batch that is held: retries, and what nodes give back', () => {
    const head = batchOn(1, 30, 1, 1);
    const [first, second] = liveOn(head);
    if (!first || !second) throw new Error('two are placed');
    head.take(staged(first, broken));
    head.take(returned(second, 'recalled'));
    const [again] = liveOn(head);
    if (again) head.take(staged(again, broken));
    for (const attempt of liveOn(head)) head.take(staged(attempt, broken));
    expect(liveOn(head)).toEqual([]);
    expect(theBatch(head).rows.counts).toMatchObject({ failed: 1, queued: 0, live: 0, held: 29 });
    expect(violations(head.state)).toEqual([]);
  });

  it('keeps what it has counted, and that the batch is held, in a snapshot', () => {
    const load = (head: PureHead) =>
      decodeState(disk.Snapshot.decode(disk.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish()));
    const head = batchOn(2, 100, 50);
    for (const attempt of liveOn(head)) head.take(staged(attempt, broken));
    expect(load(head).batches.get(batchNumber(1))).toMatchObject({ tally: theBatch(head).tally, maxFailures: 50 });
    failAll(head);
    expect(load(head).batches.get(batchNumber(1))?.held).toBe(theBatch(head).held);
    expect(theBatch(head).held).not.toBe('');
  });
});
