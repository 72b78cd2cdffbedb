import { describe, expect, it } from 'vitest';
import { nextDeadlineMs } from '../../../head/scheduler/deadline.ts';
import { explain } from '../../../head/scheduler/explain.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { canaryEnoughMs, firstCanaryMs, lastCanaryMs, quickFailureMs } from '../../../head/scheduler/limits.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
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
} from '../../kit/state.ts';

const broken = { state: 'failed', reason: 'exit', message: 'exit 127: no python3' } as const;

const node = (head: PureHead, at: number) => {
  const found = head.state.nodes.get(nodeNumber(at));
  if (!found) throw new Error(`node ${at} has connected`);
  return found;
};

const counts = (head: PureHead) => head.state.batches.get(batchNumber(1))?.rows.counts;

/** Three nodes, and a batch of many jobs. */
function threeNodes(count: number, cpus = 1): PureHead {
  const head = new PureHead();
  for (const at of [1, 2, 3]) head.take(aConnect(at, { cpus }));
  head.take(aSubmit(1, { groups: [someGroup({ count })] }));
  return head;
}

/** Ends the oldest attempt: badly on node 1, unless `good`; asked back ones are given back. */
function step(head: PureHead, ran: Map<string, number>, good = false): boolean {
  const [attempt] = liveOn(head);
  if (!attempt) return false;
  if (attempt.recalled) head.take(returned(attempt, 'recalled'));
  else {
    ran.set(attempt.nodeId, (ran.get(attempt.nodeId) ?? 0) + 1);
    head.take(staged(attempt, attempt.nodeId === nodeNumber(1) && !good ? broken : {}));
  }
  expect(violations(head.state)).toEqual([]);
  return true;
}

/** Steps until node 1 is quarantined. */
function untilQuarantined(head: PureHead): Map<string, number> {
  const ran = new Map<string, number>();
  while (!node(head, 1).quarantine) if (!step(head, ran)) throw new Error('all has ended');
  return ran;
}

/** Lets the quarantine run out, so that node 1 gets its canary. */
function canary(head: PureHead) {
  for (const attempt of liveOn(head, 1)) if (attempt.recalled) head.take(returned(attempt, 'recalled'));
  head.nowMs = node(head, 1).quarantine?.untilMs ?? head.nowMs;
  head.take({ kind: 'tick' });
  for (const ran = new Map(); liveOn(head, 1).length === 0; ) if (!step(head, ran)) throw new Error('no job is left');
  const [only, ...more] = liveOn(head, 1);
  expect(more).toEqual([]);
  if (!only) throw new Error('it has its canary');
  return only;
}

describe('quarantine', () => {
  it('runs a thousand jobs on two good nodes while a broken one gets fewer than twenty, and all succeed', () => {
    for (const cpus of [1, 4, 8]) {
      const head = threeNodes(1000, cpus);
      const ran = new Map<string, number>();
      while (step(head, ran)) head.nowMs += 2_000;
      expect(counts(head)).toMatchObject({ succeeded: 1000 });
      expect(ran.get(nodeNumber(1))).toBeLessThan(20);
    }
  });

  it('shows the evidence, and asks back what the node has not begun', () => {
    const head = threeNodes(50, 4);
    untilQuarantined(head);
    expect(node(head, 1).quarantine).toMatchObject({
      evidence: '3 jobs failed there within 60 s, and succeeded elsewhere',
      message: 'exit 127: no python3',
      batchId: batchNumber(1),
    });
    for (const attempt of liveOn(head, 1)) expect(attempt.recalled).toBe(true);
    const batch = head.state.batches.get(batchNumber(1));
    const verdict = batch && explain(head.state, batch, 49, head.nowMs).nodes[0];
    expect(verdict?.reason).toMatch(
      /^is quarantined \(3 jobs failed there .*\); one job tries it in 1 min; "labrun undrain ws1" frees it$/,
    );
  });

  it('tries the node with one job after a minute, and frees it when that succeeds', () => {
    const head = threeNodes(200, 4);
    untilQuarantined(head);
    expect(nextDeadlineMs(head.state, head.nowMs)).toBe(head.nowMs + firstCanaryMs);
    const attempt = canary(head);
    head.take({ kind: 'tick' });
    expect(liveOn(head, 1)).toHaveLength(1);
    const { events } = head.take(staged(attempt));
    expect(events).toContainEqual({ kind: 'node-freed', nodeId: nodeNumber(1), reason: 'a job has succeeded there' });
    expect(liveOn(head, 1).length).toBeGreaterThan(1);
  });

  it('waits twice as long after each job that fails there, an hour at most, and fails none of those jobs', () => {
    const head = threeNodes(400);
    untilQuarantined(head);
    const waits: number[] = [];
    for (let times = 0; times < 8; times++) {
      const attempt = canary(head);
      head.take(staged(attempt, broken));
      waits.push((node(head, 1).quarantine?.untilMs ?? 0) - head.nowMs);
    }
    expect(waits.slice(0, 3)).toEqual([2, 4, 8].map((minutes) => minutes * 60_000));
    expect(waits.at(-1)).toBe(lastCanaryMs);
    expect(counts(head)?.failed).toBe(0);
  });

  it('frees a node on which its one job has run for long enough', () => {
    const head = threeNodes(200);
    untilQuarantined(head);
    const attempt = canary(head);
    head.take({
      kind: 'progress-attempt',
      nodeId: attempt.nodeId,
      attempt: attempt.ref,
      phase: 'running',
      startedMsAgo: 0,
    });
    expect(nextDeadlineMs(head.state, head.nowMs)).toBe(head.nowMs + canaryEnoughMs);
    head.nowMs += canaryEnoughMs;
    head.take({ kind: 'tick' });
    expect(node(head, 1).quarantine).toBeUndefined();
  });

  it('frees a node that comes back with something else, and only such a one', () => {
    const head = threeNodes(50);
    untilQuarantined(head);
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.take(aConnect(1, { cpus: 1 }));
    expect(node(head, 1).quarantine).toBeDefined();
    head.take(aConnect(1, { cpus: 1, capabilities: { python3: '3.12' } }));
    expect(node(head, 1).quarantine).toBeUndefined();
    expect(liveOn(head, 1).length).toBeGreaterThan(0);
  });

  it('sees a node that breaks in the middle, by a run of failures that others have not', () => {
    const head = threeNodes(200);
    const ran = new Map<string, number>();
    for (let count = 0; count < 90; count++) step(head, ran, true);
    const before = ran.get(nodeNumber(1)) ?? 0;
    untilQuarantined(head);
    expect(node(head, 1).quarantine?.evidence).toMatch(
      /^the last \d attempts of a batch failed there within 60 s each, while \d+ of \d+ /,
    );
    expect(before).toBeGreaterThan(10);
    expect(counts(head)?.failed).toBeLessThan(8);
  });

  it('suspects no node when jobs fail everywhere, or only now and then', () => {
    for (const every of [1, 2, 3]) {
      const head = new PureHead();
      for (const at of [1, 2, 3]) head.take(aConnect(at, { cpus: 2 }));
      const submit = aSubmit(1, { groups: [someGroup({ count: 300 })] });
      head.take(submit.kind === 'submit' ? { ...submit, maxFailures: 0 } : submit);
      for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) {
        const fails = (attempt.ref.index * 7919) % 11 < 11 / every;
        head.take(staged(attempt, fails ? broken : {}));
      }
      expect(head.records.filter(({ event }) => event.kind === 'node-quarantined')).toEqual([]);
    }
  });

  it('suspects no node whose jobs fail only after a long time: those are given elsewhere one by one', () => {
    const head = threeNodes(60);
    for (let [attempt] = liveOn(head); attempt; [attempt] = liveOn(head)) {
      const late = { ...broken, ranMs: quickFailureMs };
      head.take(
        attempt.recalled
          ? returned(attempt, 'recalled')
          : staged(attempt, attempt.nodeId === nodeNumber(1) ? late : {}),
      );
    }
    expect(head.records.filter(({ event }) => event.kind === 'node-quarantined')).toEqual([]);
    expect(counts(head)).toMatchObject({ succeeded: 60 });
  });

  it('is in a snapshot, with the job that tries the node', () => {
    const head = threeNodes(200);
    untilQuarantined(head);
    const load = () =>
      decodeState(disk.Snapshot.decode(disk.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish()));
    expect(load().nodes.get(nodeNumber(1))?.quarantine).toEqual(node(head, 1).quarantine);
    const attempt = canary(head);
    expect(node(head, 1).quarantine?.canary).toBeDefined();
    expect(load().nodes.get(nodeNumber(1))?.quarantine).toEqual(node(head, 1).quarantine);
    head.take(returned(attempt, 'recalled'));
    expect(violations(head.state)).toEqual([]);
  });
});
