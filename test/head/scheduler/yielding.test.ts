import { describe, expect, it } from 'vitest';
import { viewJob } from '../../../head/job-view.ts';
import { nextDeadlineMs } from '../../../head/scheduler/deadline.ts';
import { asleepLeaseMs, leaseMs } from '../../../head/scheduler/limits.ts';
import { unyielding, yieldText } from '../../../head/scheduler/yielding.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as snapshot from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { someNeeds } from '../../kit/spec.ts';
import {
  aConnect,
  aSubmit,
  aYield,
  batchNumber,
  liveOn,
  nodeNumber,
  PureHead,
  someGroup,
  staged,
} from '../../kit/state.ts';

const paused = aYield({ step: 'pause', takesJobs: false, cause: 'asked', by: 'ada', endsInMs: 600_000 });
const throttled = aYield({ step: 'throttle', cause: 'activity' });

function tell(head: PureHead, at: number, told = paused) {
  return head.take({ kind: 'note-yield', nodeId: nodeNumber(at), told });
}

/** The first job of the only batch, running. */
function running(head: PureHead) {
  const [attempt] = liveOn(head);
  if (!attempt) throw new Error('a job was placed');
  const news = { kind: 'progress-attempt', nodeId: attempt.nodeId, attempt: attempt.ref } as const;
  head.take({ ...news, phase: 'running', startedMsAgo: 0 });
  return { attempt, news };
}

describe('what a node yields', () => {
  it('is one event as long as nothing that matters to anybody changes', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    expect(tell(head, 1).events.map(({ kind }) => kind)).toEqual(['node-yielded']);
    head.nowMs += 60_000;
    const later = { ...paused, sinceMsAgo: 60_400, endsInMs: 539_900, interruptionPerMille: undefined };
    expect(tell(head, 1, later).events).toEqual([]);
    expect(tell(head, 1, { ...later, endsInMs: 1_200_000 }).events).toHaveLength(1);
    expect(tell(head, 1, { ...later, by: 'bob' }).events).toHaveLength(1);
  });

  it('is forgotten when its agent comes back and says nothing of it, and told with its hello otherwise', () => {
    const head = new PureHead();
    const hello = aConnect(1);
    if (hello.kind !== 'connect-node') throw new Error('a hello is a hello');
    head.take({ ...hello, yielding: paused });
    expect(head.state.nodes.get(nodeNumber(1))?.yielding).toMatchObject({ step: 'pause', untilMs: 601_000 });
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.take(hello);
    expect(head.state.nodes.get(nodeNumber(1))?.yielding).toEqual(unyielding);
  });

  it('keeps no job waiting for another node while that takes none', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aConnect(2));
    tell(head, 2);
    head.take(aSubmit(1, { groups: [someGroup({ retries: 1 })] }));
    const { attempt } = running(head);
    const { events } = head.take(staged(attempt, { state: 'failed', reason: 'exit', message: 'exit 3' }));
    expect(events).toMatchObject([{ kind: 'archive-accepted', requeued: 'retry' }, { kind: 'attempt-assigned' }]);
  });

  it('puts a node that gives less behind one that gives all, also where its build is ready', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aConnect(2));
    head.take({ kind: 'report-build', nodeId: nodeNumber(1), digest: 'blake3:b', state: 'ready', message: '' });
    tell(head, 1, throttled);
    head.take(aSubmit(1, { buildDigest: 'blake3:b' }));
    expect(liveOn(head, 2)).toHaveLength(1);
    head.take(aSubmit(2, { groups: [someGroup({ needs: someNeeds({ cpus: 4 }) })] }));
    expect(liveOn(head, 1)).toHaveLength(1);
  });

  it('prefers the node whose owner is least likely to come, by tenths, unless its build is elsewhere', () => {
    const head = new PureHead();
    for (const [at, interruptionPerMille] of [120, 60, undefined].entries()) {
      head.take(aConnect(at + 1, { dedicated: false }));
      tell(head, at + 1, aYield({ interruptionPerMille }));
    }
    head.take(aSubmit(1));
    expect(liveOn(head, 2)).toHaveLength(1);
    head.take({ kind: 'report-build', nodeId: nodeNumber(3), digest: 'blake3:b', state: 'ready', message: '' });
    head.take(aSubmit(2, { buildDigest: 'blake3:b' }));
    expect(liveOn(head, 3)).toHaveLength(1);
  });

  it('says until when, and from when on the node is usually free', () => {
    expect(yieldText(unyielding)).toBeUndefined();
    const busy = { ...unyielding, takesJobs: false, reason: 'somebody types', usuallyFreeFromMinute: 545 };
    expect(yieldText(busy)).toBe('takes no new jobs: somebody types; it is free for you usually from 09:05');
    const asked = { ...unyielding, step: 'pause', takesJobs: false, by: 'ada', reason: 'talk', untilMs: 0 } as const;
    expect(yieldText(asked)).toBe('is paused by ada until 1970-01-01T00:00:00.000Z: "talk"');
  });
});

describe('a paused job', () => {
  it('has started once, however often it goes on, and cannot fall back behind that', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    const { news } = running(head);
    const phase = () => liveOn(head)[0]?.phase;
    head.nowMs += 50_000;
    head.take({ ...news, phase: 'paused', startedMsAgo: 49_000 });
    expect(phase()).toEqual({ kind: 'paused', startedAtMs: 1_000 });
    expect(head.take({ ...news, phase: 'staging', startedMsAgo: undefined }).events).toEqual([]);
    head.take({ ...news, phase: 'running', startedMsAgo: 49_000 });
    expect(phase()).toEqual({ kind: 'running', startedAtMs: 1_000 });
    expect(head.state.batches.get(batchNumber(1))?.rows.startedS[0]).toBe(1);
  });

  it('tells how long it was paused: as the head was told while it lives, at its end as its node has measured it', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1));
    const { attempt, news } = running(head);
    const seen = () => {
      const batch = head.state.batches.get(batchNumber(1));
      if (!batch) throw new Error('it was submitted');
      const { pausedMs, pausedSinceMs } = viewJob(head.state, batch, 0);
      return { pausedMs, pausedSinceMs };
    };
    for (const pausedMs of [0, 4_000]) {
      head.take({ ...news, phase: 'paused', startedMsAgo: 0 });
      expect(seen()).toEqual({ pausedMs, pausedSinceMs: head.nowMs });
      head.nowMs += 4_000;
      head.take({ ...news, phase: 'running', startedMsAgo: 0 });
      expect(seen()).toEqual({ pausedMs: pausedMs + 4_000, pausedSinceMs: undefined });
      const stored = snapshot.Snapshot.encode(encodeState(head.state, Buffer.alloc(16))).finish();
      expect([...decodeState(snapshot.Snapshot.decode(stored)).attempts.values()]).toEqual(liveOn(head));
    }
    head.take({ ...news, phase: 'paused', startedMsAgo: 0 });
    head.nowMs += 1_000;
    head.take({ ...news, phase: 'archiving', startedMsAgo: 0 });
    expect(seen()).toEqual({ pausedMs: 9_000, pausedSinceMs: undefined });
    const end = staged(attempt);
    if (end.kind !== 'archive-staged') throw new Error('an end is an end');
    head.take({ ...end, pausedMs: 8_750 });
    expect(seen()).toEqual({ pausedMs: 8_750, pausedSinceMs: undefined });
    head.take({ kind: 'retry', batchId: batchNumber(1), jobs: [0, 1] });
    expect(seen()).toEqual({ pausedMs: 0, pausedSinceMs: undefined });
  });

  it('can be cancelled, and requeued by its node once', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(aSubmit(1, { groups: [someGroup({ count: 2 })] }));
    const [one, other] = liveOn(head);
    if (!one || !other) throw new Error('both jobs were placed');
    for (const { ref: attempt } of [one, other])
      head.take({ kind: 'progress-attempt', nodeId: nodeNumber(1), attempt, phase: 'paused', startedMsAgo: 0 });
    const cancelled = head.take({ kind: 'cancel', batchId: batchNumber(1), jobs: [0, 1] });
    expect(cancelled.events).toMatchObject([{ kind: 'attempt-cancelling' }]);
    const wish = { kind: 'wish-requeue', nodeId: nodeNumber(1), reason: 'memory' } as const;
    expect(head.take({ ...wish, attempt: one.ref }).events).toEqual([]);
    expect(head.take({ ...wish, attempt: other.ref }).events).toMatchObject([{ reason: 'memory' }]);
    expect(head.take({ ...wish, attempt: other.ref }).events).toEqual([]);
    expect(head.take({ ...wish, attempt: other.ref, nodeId: nodeNumber(2) }).verdict).toMatchObject({ code: 'stale' });
  });
});

describe('a machine that sleeps', () => {
  it('keeps its jobs for half a day, another silent one for its lease', () => {
    for (const [told, lapseMs] of [
      [aYield({ step: 'pause', takesJobs: false, cause: 'asleep' }), asleepLeaseMs],
      [paused, leaseMs],
    ] as const) {
      const head = new PureHead();
      head.take(aConnect(1));
      head.take(aSubmit(1));
      running(head);
      tell(head, 1, told);
      head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
      expect(nextDeadlineMs(head.state, head.nowMs)).toBe(head.nowMs + lapseMs);
      head.nowMs += lapseMs - 1;
      expect(head.take({ kind: 'tick' }).events).toEqual([]);
      head.nowMs += 1;
      expect(head.take({ kind: 'tick' }).events).toMatchObject([{ kind: 'attempt-lapsed' }]);
    }
  });
});

describe('undrain', () => {
  it('lets a quarantined node have jobs again, too, and does nothing twice', () => {
    const head = new PureHead();
    const nodeId = nodeNumber(1);
    head.take(aConnect(1));
    head.take({ kind: 'drain-node', nodeId, reason: '' });
    const quarantined = { kind: 'node-quarantined', nodeId, untilMs: 9, canariesFailed: 0, evidence: 'x' } as const;
    head.note({ ...quarantined, batchId: batchNumber(1), message: '' });
    const undrain = { kind: 'undrain-node', nodeId } as const;
    expect(head.take(undrain).events.map(({ kind }) => kind)).toEqual(['node-undrained', 'node-freed']);
    expect(head.take(undrain).events).toEqual([]);
    expect(head.take({ ...undrain, nodeId: nodeNumber(9) }).verdict).toMatchObject({ code: 'not-found' });
  });
});
