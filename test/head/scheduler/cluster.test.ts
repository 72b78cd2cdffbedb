import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { apply } from '../../../head/scheduler/apply.ts';
import type { Command } from '../../../head/scheduler/command.ts';
import { emptyCluster } from '../../../head/scheduler/draft.ts';
import type { Outcome } from '../../../head/scheduler/event.ts';
import { coresTaken } from '../../../head/scheduler/fit.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { retireAfterMs } from '../../../head/scheduler/limits.ts';
import { decodeEvent } from '../../../head/store/event-decode.ts';
import { encodeEvent } from '../../../head/store/event-encode.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { someNeeds } from '../../kit/spec.ts';
import {
  aConnect,
  aSubmit,
  batchNumber,
  nodeNumber,
  PureHead,
  someGroup,
  someSubmission,
  staged,
  theCluster,
} from '../../kit/state.ts';

const done: Outcome = { state: 'succeeded', reason: undefined, message: '', exitCode: 0, signal: undefined, ranMs: 5 };
const broken: Outcome = {
  state: 'failed',
  reason: 'exit',
  message: 'exit 3',
  exitCode: 3,
  signal: undefined,
  ranMs: 5,
};

const live = (head: PureHead) => [...head.state.attempts.values()];

describe('the cluster', () => {
  it('runs a batch to its end', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 2 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 5 })] }));
    expect(live(head)).toHaveLength(3); // two run, and one waits on the node before the first success there
    while (live(head).length > 0) {
      const [first] = live(head);
      if (first) head.take(staged(first));
      expect(violations(head.state)).toEqual([]);
    }
    expect(head.state.batches.get(batchNumber(1))?.ended?.state).toBe('succeeded');
  });

  it('gives the gpu machine to jobs that need it while others have room', () => {
    const head = new PureHead();
    head.take(aConnect(1, { gpus: 1, capabilities: { gpu: '' } }));
    head.take(aConnect(2));
    head.take(aSubmit(1));
    expect(live(head)[0]?.nodeId).toBe(nodeNumber(2));
    head.take(aSubmit(2, { groups: [someGroup({ needs: someNeeds({ capabilities: [{ name: 'gpu' }], cpus: 1 }) })] }));
    expect(live(head)[1]?.nodeId).toBe(nodeNumber(1));
  });

  it('starts first for whoever runs least', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 2 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 10 })] }), { kind: 'user', name: 'ada' });
    head.take(aSubmit(2, { groups: [someGroup({ count: 10 })] }), { kind: 'user', name: 'bob' });
    const [first] = live(head);
    if (first) head.take(staged(first));
    expect(live(head).some((attempt) => attempt.ref.batchId === batchNumber(2))).toBe(true);
  });

  it('asks back what waits on a full node when another could start it', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 1 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 2 })] }));
    const { events } = head.take(aConnect(2, { cpus: 1 }));
    expect(events.map((event) => event.kind)).toContain('attempt-recalled');
    const recalled = live(head).find((attempt) => attempt.recalled);
    if (!recalled) throw new Error('nothing was recalled');
    head.take({
      kind: 'return-attempt',
      nodeId: nodeNumber(1),
      attempt: recalled.ref,
      reason: 'recalled',
      message: '',
    });
    expect(
      live(head)
        .map((attempt) => attempt.nodeId)
        .sort(),
    ).toEqual([nodeNumber(1), nodeNumber(2)]);
  });

  it('runs a failed job again as often as its retries say', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1, { groups: [someGroup({ retries: 1 })] }));
    for (const attempt of [1, 2]) {
      const [only] = live(head);
      expect(only?.ref.attempt).toBe(attempt);
      if (only) head.take(staged(only, broken));
    }
    expect(live(head)).toEqual([]);
    expect(head.state.batches.get(batchNumber(1))?.ended?.state).toBe('failed');
  });

  it('refuses news of an attempt that is no longer the current one', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    const [only] = live(head);
    if (!only) throw new Error('nothing was placed');
    const old = { ...only, ref: { ...only.ref, attempt: 7 } };
    expect(head.take(staged(old)).verdict).toMatchObject({ kind: 'refused', code: 'stale' });
    const foreign = { ...only, nodeId: nodeNumber(9) };
    expect(head.take(staged(foreign)).verdict).toMatchObject({ kind: 'refused', code: 'stale' });
    expect(head.take(staged(only)).verdict.kind).toBe('accepted');
    expect(head.take(staged(only)).verdict).toEqual({ kind: 'accepted', events: [] });
  });

  it('fails a batch whose build has failed wherever it could run', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aConnect(2));
    head.take(aSubmit(1, { buildDigest: 'blake3:build', groups: [someGroup({ count: 30 })] }));
    for (const at of [1, 2]) {
      head.take({
        kind: 'report-build',
        nodeId: nodeNumber(at),
        digest: 'blake3:build',
        state: 'failed',
        message: 'no compiler',
      });
      for (const attempt of live(head).filter((one) => one.nodeId === nodeNumber(at))) {
        head.take({
          kind: 'return-attempt',
          nodeId: nodeNumber(at),
          attempt: attempt.ref,
          reason: 'build-failed',
          message: 'no compiler',
        });
      }
      expect(violations(head.state)).toEqual([]);
    }
    const batch = head.state.batches.get(batchNumber(1));
    expect(batch?.rows.counts.failed).toBe(30);
    expect(batch?.ended?.state).toBe('failed');
  });

  it('gives the jobs of a node that stays silent to others, and believes the node that returns in time', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    const [only] = live(head);
    if (!only) throw new Error('nothing was placed');
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.nowMs += 600_000;
    head.take({ kind: 'tick' });
    expect(live(head)[0]?.lapsedSinceMs).toBe(head.nowMs);
    head.take(aConnect(2));
    expect(live(head)).toMatchObject([{ nodeId: nodeNumber(2), ref: { attempt: 2 } }]);
    expect(head.take(staged(only)).verdict).toMatchObject({ kind: 'refused', code: 'stale' });
  });

  it('replaces a batch: what waits is cancelled, what runs is told to stop', () => {
    const head = new PureHead();
    head.take(aConnect(1, { cpus: 1 }));
    head.take(aSubmit(1, { groups: [someGroup({ count: 5 })] }, 'same'));
    expect(head.take(aSubmit(2, {}, 'same')).verdict).toMatchObject({ kind: 'refused', code: 'conflict' });
    const again = aSubmit(2, {}, 'SAME');
    head.take(again.kind === 'submit' ? { ...again, replace: true } : again);
    expect(live(head).filter((one) => one.cancelling)).toHaveLength(2);
    expect(head.state.batches.get(batchNumber(1))?.rows.counts.cancelled).toBe(3);
  });

  it('keeps its invariants in any order of events, and is the same after replay and from a snapshot', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(15), fc.nat(1000), fc.nat(1000)), { minLength: 20, maxLength: 80 }),
        (steps) => {
          const head = new PureHead();
          head.take({ kind: 'start-head', version: '0.1.0', clusterId: theCluster });
          let submitted = 0;
          for (const [what, a, b] of steps) {
            head.nowMs += b * 50;
            head.take(stepOf(head, what, a, b, () => ++submitted));
            expect(violations(head.state)).toEqual([]);
            for (const node of head.state.nodes.values())
              expect(coresTaken(head.state, node)).toBeLessThanOrEqual(2 * node.facts.cpus);
          }
          expect(reusedAttempts(head)).toEqual([]);
          const replayed = emptyCluster();
          for (const record of head.records)
            apply(replayed, { ...record, event: decodeEvent(encodeEvent(record.event)) });
          expect(visible(replayed)).toEqual(visible(head.state));
          const bytes = disk.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish();
          const loaded = decodeState(disk.Snapshot.decode(bytes));
          expect(violations(loaded)).toEqual([]);
          expect(visible(loaded)).toEqual(visible(head.state));
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** What must be the same however a state was made; cursors and rests are only speed. */
function visible(state: PureHead['state']) {
  return {
    epoch: state.epoch,
    seq: state.seq,
    byName: [...state.batchByName].sort(),
    gap: state.gap,
    retired: [...state.retired.values()],
    batches: [...state.batches.values()].map(({ queues, ...batch }) => ({
      ...batch,
      queued: queues.map((queue) => queue.queued),
    })),
    attempts: [...state.attempts.values()],
    nodes: [...state.nodes.values()].map(({ restsUntilMs: _rests, shortages: _shortages, ...node }) => node),
    finished: [...state.finished],
  };
}

/** Attempts whose number is not above the one before: a fence that would let an old one through. */
function reusedAttempts(head: PureHead): string[] {
  const last = new Map<string, number>();
  const reused: string[] = [];
  for (const { event } of head.records) {
    if (event.kind !== 'attempt-assigned') continue;
    const job = `${event.attempt.batchId}/${event.attempt.index}`;
    if (event.attempt.attempt <= (last.get(job) ?? 0)) reused.push(`${job}.${event.attempt.attempt}`);
    last.set(job, event.attempt.attempt);
  }
  return reused;
}

/** A command a lab could send at this moment. */
function stepOf(head: PureHead, what: number, a: number, b: number, next: () => number): Command {
  const attempts = live(head);
  const attempt = attempts[a % Math.max(1, attempts.length)];
  const batches = [...head.state.batches.keys()];
  const batchId = batches[a % Math.max(1, batches.length)] ?? batchNumber(1);
  const count = head.state.batches.get(batchId)?.rows.count ?? 0;
  const jobs = [b % Math.max(1, count), 1 + (a % 4)].map((bound, at) =>
    at === 1 ? Math.min(bound, count - (b % Math.max(1, count))) : bound,
  );
  switch (what) {
    case 0:
    case 1: {
      const group = someGroup({ count: 1 + (a % 9), retries: b % 3, needs: someNeeds({ cpus: b % 3 }) });
      return aSubmit(
        next(),
        { groups: [group, someGroup()], buildDigest: a % 3 === 0 ? 'blake3:build' : '' },
        `name${a % 4}`,
      );
    }
    case 2:
    case 3:
      return aConnect(a % 4, { cpus: 1 + (a % 4) });
    case 4:
      return { kind: 'disconnect-node', nodeId: nodeNumber(a % 4) };
    case 5:
      if (b % 3 === 0)
        return { kind: 'requeue', batchId, jobs, notOn: a % 2 === 0 ? undefined : [...head.state.nodes.keys()][0] };
      return { kind: (['cancel', 'hold', 'release', 'retry'] as const)[b % 4] ?? 'hold', batchId, jobs };
    case 6:
      return attempt && b % 2 === 0
        ? {
            kind: 'return-attempt',
            nodeId: attempt.nodeId,
            attempt: attempt.ref,
            reason: b % 4 === 0 ? 'recalled' : 'build-failed',
            message: 'x',
          }
        : { kind: 'tick' };
    case 7:
      return attempt
        ? { kind: 'lose-attempt', nodeId: attempt.nodeId, attempt: attempt.ref, message: 'gone' }
        : { kind: 'tick' };
    case 8:
      return attempt
        ? {
            kind: 'progress-attempt',
            nodeId: attempt.nodeId,
            attempt: attempt.ref,
            phase: (['staging', 'running', 'archiving'] as const)[b % 3] ?? 'running',
            startedMsAgo: 3,
          }
        : { kind: 'tick' };
    case 9: {
      const batch = head.state.batches.get(batchId);
      const total = (batch?.rows.count ?? 0) + 2;
      return {
        kind: 'extend',
        extensionId: batchNumber(5_000 + next()),
        submission: someSubmission(0, { batchId, groups: [someGroup({ count: total })] }),
        added: [count, 2],
        changed: count > 0 ? [[b % count, b % count]] : [],
        partsSeen: batch?.parts.length ?? 0,
      };
    }
    case 10:
      return {
        kind: 'report-build',
        nodeId: nodeNumber(a % 4),
        digest: 'blake3:build',
        state: (['ready', 'failed', 'gone'] as const)[b % 3] ?? 'gone',
        message: 'm',
      };
    case 11:
      return { kind: 'start-head', version: '0.1.0', clusterId: theCluster };
    case 12:
      head.nowMs += 600_000;
      return { kind: 'tick' };
    case 14:
      head.nowMs += retireAfterMs;
      return { kind: 'retire-batch', batchId, deletedSeq: head.state.batches.get(batchId)?.deleted?.seq ?? 0 };
    case 15: {
      const known = [...batches, ...head.state.retired.keys()];
      if (b % 4 === 0) return { kind: 'delete-batch', batchId: known[a % Math.max(1, known.length)] ?? batchId };
      if (b % 4 === 1) return { kind: 'note-shortened', how: 'accepted', message: 'lost' };
      return {
        kind: 'find-archive',
        attempt: { batchId, index: b % Math.max(1, count), attempt: 1 + (a % 9) },
        node: `ws${a % 4}`,
        outcome: b % 3 === 0 ? broken : done,
        manifestHash: 'blake3:00',
        startedAtMs: undefined,
        endedAtMs: head.nowMs,
        pausedMs: 1_000 * (a % 3),
        requeued: b % 5 === 0,
      };
    }
    default:
      return attempt ? staged(attempt, b % 3 === 0 ? broken : done) : { kind: 'tick' };
  }
}
