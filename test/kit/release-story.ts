import type { Actor } from '../../head/scheduler/actor.ts';
import type { AttemptRef } from '../../head/scheduler/attempt.ts';
import type { Event, LogRecord, Outcome } from '../../head/scheduler/event.ts';
import { unyielding, type Yielding } from '../../head/scheduler/yielding.ts';
import { someNeeds } from './spec.ts';
import { batchNumber, nodeNumber, someFacts, someGroup, someSubmission, theCluster } from './state.ts';

const ada: Actor = { kind: 'user', name: 'ada' };
const ws1: Actor = { kind: 'node', name: 'ws1' };
const head: Actor = { kind: 'system', name: 'head' };

/**
 * A story in which every kind of event occurs, for the fixtures of releases: what a log says today must mean the same to
 * every later release. Add what is new at its end; what is there must not change.
 */
export function releaseStory(): LogRecord[] {
  const parts = [beginnings(), attempts(), ends(), people(), longAfter(), atTheDesk(), fromAfar()];
  const told = parts.flatMap((part) => [...part]);
  return told.map(([actor, event], at) => ({ seq: at + 1, atMs: 1_800_000_000_000 + at * 1_000, actor, event }));
}

type Told = readonly [Actor, Event];

const job = (batch: number, index: number, attempt: number): AttemptRef => ({
  batchId: batchNumber(batch),
  index,
  attempt,
});
const digest = 'blake3:build';
const assign = (attempt: AttemptRef, node = 1): Told => [
  { kind: 'system', name: 'scheduler' },
  { kind: 'attempt-assigned', attempt, nodeId: nodeNumber(node), cpus: 1 },
];
const succeeded: Outcome = {
  state: 'succeeded',
  reason: undefined,
  message: '',
  exitCode: 0,
  signal: undefined,
  ranMs: 90_000,
};
const failed: Outcome = {
  ...succeeded,
  state: 'failed',
  reason: 'exit',
  message: 'exit code 3',
  exitCode: 3,
  ranMs: 5,
};
const accept = (attempt: AttemptRef, over: Partial<Extract<Event, { kind: 'archive-accepted' }>> = {}): Told => [
  ws1,
  {
    kind: 'archive-accepted',
    attempt,
    outcome: succeeded,
    manifestHash: `blake3:${'1'.repeat(64)}`,
    startedAtMs: 1_800_000_000_500,
    endedAtMs: 1_800_000_090_500,
    pausedMs: 0,
    requeued: undefined,
    inline: undefined,
    ...over,
  },
];

function* beginnings(): Generator<Told> {
  yield [head, { kind: 'head-started', epoch: 1, version: '0', clusterId: theCluster }];
  for (const at of [1, 2])
    yield [
      { kind: 'node', name: `ws${at}` },
      {
        kind: 'node-connected',
        nodeId: nodeNumber(at),
        name: `ws${at}`,
        version: '0',
        features: ['runtime.command'],
        bootId: 'boot',
        facts: someFacts({ capabilities: { openfoam: '2212', python3: '' } }),
        builds: ['blake3:older'],
        leaseMs: 60_000,
      },
    ];
  yield [ws1, { kind: 'node-changed', nodeId: nodeNumber(1), facts: someFacts({ cpus: 8, jobsAccount: 'jobs' }) }];
  yield [ws1, { kind: 'node-disconnected', nodeId: nodeNumber(2) }];
  const needs = someNeeds({
    capabilities: [{ name: 'openfoam', comparison: '>=', version: '1912' }],
    memoryBytes: 2 ** 33,
  });
  const groups = [someGroup({ count: 12, needs, retries: 2 }), someGroup({ count: 2 })];
  const facts = { namespace: 'lab', maxRunning: 4, maxFailures: 5, origin: 'labrun', replaces: undefined } as const;
  yield [
    ada,
    {
      kind: 'batch-submitted',
      ...someSubmission(1, { groups, buildDigest: digest, buildNeeds: someNeeds({ diskBytes: 2 ** 30 }) }),
      ...facts,
      name: 'airfoil',
    },
  ];
  yield [ada, { kind: 'batch-submitted', ...someSubmission(2), ...facts, name: 'polar', origin: 'distribute' }];
  yield [
    ada,
    { kind: 'batch-submitted', ...someSubmission(3), ...facts, name: 'polar', replaces: batchNumber(2), maxRunning: 0 },
  ];
  yield [ws1, { kind: 'build-ready', nodeId: nodeNumber(1), digest }];
  yield [ws1, { kind: 'build-failed', nodeId: nodeNumber(2), digest, message: 'no compiler' }];
  yield [ws1, { kind: 'build-failed', nodeId: nodeNumber(1), digest: 'blake3:older', message: 'gone wrong' }];
  yield [ws1, { kind: 'build-forgotten', nodeId: undefined, digest: 'blake3:older' }];
}

function* attempts(): Generator<Told> {
  const b1 = batchNumber(1);
  yield [ada, { kind: 'jobs-held', batchId: b1, jobs: [12, 2], reason: 'five jobs have failed' }];
  yield [ada, { kind: 'jobs-released', batchId: b1, jobs: [12, 1] }];
  yield assign(job(1, 0, 1));
  for (const phase of ['staging', 'building', 'running', 'paused', 'running', 'archiving'] as const)
    yield [ws1, { kind: 'attempt-progressed', attempt: job(1, 0, 1), phase, startedAtMs: 1_800_000_000_500 }];
  yield accept(job(1, 0, 1), {
    inline: { manifest: Buffer.from('m'), files: [{ path: 'log', data: Buffer.from('a log') }] },
  });
  yield assign(job(1, 1, 1));
  yield [ws1, { kind: 'attempt-recalled', attempt: job(1, 1, 1) }];
  yield [ws1, { kind: 'attempt-returned', attempt: job(1, 1, 1), reason: 'recalled', message: '' }];
  yield assign(job(1, 1, 2));
  yield accept(job(1, 1, 2), { outcome: failed, requeued: 'retry' });
  yield assign(job(1, 2, 1), 2);
  yield accept(job(1, 2, 1), { outcome: failed, requeued: 'elsewhere' });
  yield assign(job(1, 3, 1));
  yield accept(job(1, 3, 1), { outcome: failed });
  yield assign(job(1, 4, 1));
  yield [ws1, { kind: 'attempt-lost', attempt: job(1, 4, 1), message: 'the machine was started anew', requeued: true }];
  yield assign(job(1, 5, 1));
  yield [ada, { kind: 'attempt-cancelling', attempt: job(1, 5, 1) }];
  yield assign(job(1, 6, 1), 2);
  yield [head, { kind: 'attempt-lapsed', attempt: job(1, 6, 1) }];
  yield assign(job(1, 7, 1), 2);
  yield [head, { kind: 'attempt-lapsed', attempt: job(1, 7, 1) }];
  yield [ws1, { kind: 'attempt-readopted', attempt: job(1, 7, 1) }];
}

function* ends(): Generator<Told> {
  const b1 = batchNumber(1);
  yield [ada, { kind: 'jobs-cancelled', batchId: b1, jobs: [10, 1] }];
  yield [ada, { kind: 'jobs-retried', batchId: b1, jobs: [3, 1] }];
  yield [ws1, { kind: 'jobs-failed', batchId: b1, jobs: [11, 1], reason: 'build-failed', message: 'no compiler' }];
  yield [ada, { kind: 'jobs-cancelled', batchId: batchNumber(2), jobs: [0, 1] }];
  yield [head, { kind: 'batch-ended', batchId: batchNumber(2), state: 'cancelled' }];
  yield [ada, { kind: 'batch-deleted', batchId: batchNumber(2) }];
  yield [
    ada,
    {
      kind: 'batch-extended',
      ...someSubmission(4, { batchId: b1, groups: [someGroup({ count: 3 })] }),
      extensionId: batchNumber(4),
      added: [1, 2],
      changed: [[0, 0]],
    },
  ];
  yield [head, { kind: 'log-shortened', how: 'accepted', message: 'without 3 damaged events' }];
  yield [ws1, { kind: 'attempt-found', attempt: job(1, 9, 4), nodeId: nodeNumber(1) }];
  yield [ws1, { kind: 'attempt-discarded', attempt: job(1, 0, 1), nodeId: nodeNumber(1) }];
}

function* people(): Generator<Told> {
  const root: Actor = { kind: 'user', name: 'root' };
  const token = (tokenId: string, use: Extract<Event, { kind: 'token-created' }>['use']): Told => [
    root,
    { kind: 'token-created', tokenId, secretHash: 'ab', use, uses: 2, expiresAtMs: 1_900_000_000_000 },
  ];
  yield token('t1', { kind: 'user', name: 'Ada', admin: true });
  yield token('t2', { kind: 'node', owner: 'Ada' });
  yield token('t3', { kind: 'user', name: 'eve', admin: false });
  const issued = { notAfterMs: 1_900_000_000_000 } as const;
  const user = { kind: 'user', name: 'Ada', admin: true } as const;
  const node = { kind: 'node', nodeId: nodeNumber(3), name: 'ws3', owner: 'Ada' } as const;
  yield [ada, { kind: 'certificate-issued', tokenId: 't1', enrolled: user, serial: '01', ...issued }];
  yield [ada, { kind: 'certificate-issued', tokenId: 't2', enrolled: node, serial: '02', ...issued }];
  yield [ada, { kind: 'certificate-issued', tokenId: '', enrolled: node, serial: '03', ...issued }];
  yield [root, { kind: 'token-revoked', tokenId: 't3' }];
  yield [root, { kind: 'node-owned', nodeId: nodeNumber(3), owner: 'bob' }];
  yield [ada, { kind: 'namespace-shared', namespace: 'lab', user: 'bob', shared: true }];
  yield [ada, { kind: 'namespace-opened', namespace: 'lab', readable: false }];
  yield [head, { kind: 'namespace-filled', namespace: 'lab', full: 'the namespace "lab" has used all of it' }];
  const leaving = { ...node, nodeId: nodeNumber(4), name: 'ws4' };
  yield [ada, { kind: 'certificate-issued', tokenId: 't2', enrolled: leaving, serial: '04', ...issued }];
  yield [root, { kind: 'node-removed', nodeId: nodeNumber(4) }];
  yield [
    ada,
    { kind: 'certificate-issued', tokenId: 't1', enrolled: { ...user, name: 'eve' }, serial: '05', ...issued },
  ];
  yield [root, { kind: 'user-removed', name: 'eve' }];
  const quarantine = {
    ...{ untilMs: 1_800_000_900_000, canariesFailed: 1, evidence: '5 of 5 failed', batchId: batchNumber(1) },
    message: 'it has failed 5 jobs that succeed elsewhere',
  };
  for (const at of [1, 2]) yield [head, { kind: 'node-quarantined', nodeId: nodeNumber(at), ...quarantine }];
  yield [root, { kind: 'node-freed', nodeId: nodeNumber(2), reason: 'somebody said so' }];
  for (const trouble of ['its disk is full', ''])
    yield [head, { kind: 'node-troubled', nodeId: nodeNumber(2), trouble }];
  yield [head, { kind: 'node-troubled', nodeId: nodeNumber(1), trouble: 'its disk is full' }];
  yield [ada, { kind: 'jobs-excluded', batchId: batchNumber(1), jobs: [7, 1], nodeId: nodeNumber(2) }];
  yield [ada, { kind: 'attempt-requeued', attempt: job(1, 7, 1), reason: '' }];
}

function* longAfter(): Generator<Told> {
  yield [head, { kind: 'batch-retired', batchId: batchNumber(2) }];
  const found = {
    ...{ outcome: failed, manifestHash: `blake3:${'2'.repeat(64)}`, startedAtMs: 1_800_000_000_500 },
    ...{ endedAtMs: 1_800_000_090_500, pausedMs: 30_000 },
  };
  for (const [index, requeued] of [
    [8, false],
    [9, true],
  ] as const)
    yield [head, { kind: 'archive-found', attempt: job(1, index, 5), nodeId: nodeNumber(1), ...found, requeued }];
  yield [head, { kind: 'archive-searched', found: 2, message: 'the archive holds 2 results of the lost end' }];
}

function* atTheDesk(): Generator<Told> {
  const asked: Yielding = {
    ...{ step: 'pause', takesJobs: false, cause: 'asked', by: 'ada', reason: 'presentation' },
    ...{ sinceMs: 1_800_000_000_000, untilMs: 1_800_003_600_000, condition: 'when nobody is there' },
    ...{ usuallyFreeFromMinute: 1140, interruptionPerMille: 250 },
  };
  for (const at of [1, 2]) yield [ws1, { kind: 'node-yielded', nodeId: nodeNumber(at), yielding: asked }];
  yield [ws1, { kind: 'node-yielded', nodeId: nodeNumber(2), yielding: unyielding }];
  for (const at of [1, 2]) yield [ada, { kind: 'node-drained', nodeId: nodeNumber(at), reason: 'a new disk' }];
  yield [ada, { kind: 'node-undrained', nodeId: nodeNumber(2) }];
  yield assign(job(1, 12, 1));
  for (const phase of ['running', 'paused'] as const)
    yield [ws1, { kind: 'attempt-progressed', attempt: job(1, 12, 1), phase, startedAtMs: 1_800_000_000_500 }];
  yield [ws1, { kind: 'attempt-resumed', attempt: job(1, 12, 1) }];
  yield [ws1, { kind: 'attempt-requeued', attempt: job(1, 12, 1), reason: 'its owner needs the memory' }];
}

function* fromAfar(): Generator<Told> {
  const inJob = { shellId: 's1', nodeId: nodeNumber(1), inPlaceOf: job(1, 12, 1) };
  const onNode = { shellId: 's2', nodeId: nodeNumber(1), inPlaceOf: undefined };
  for (const shell of [inJob, onNode]) yield [ada, { kind: 'shell-opened', ...shell }];
  for (const shell of [inJob, onNode]) yield [ada, { kind: 'shell-closed', ...shell, message: 'it ended with 7' }];
  const paused = job(3, 0, 1);
  yield assign(paused);
  for (const phase of ['running', 'paused'] as const)
    yield [ws1, { kind: 'attempt-progressed', attempt: paused, phase, startedAtMs: 1_800_000_000_500 }];
  yield [ws1, { kind: 'attempt-resumed', attempt: paused }];
  yield accept(paused, { pausedMs: 9_000 });
  yield [head, { kind: 'batch-ended', batchId: batchNumber(3), state: 'succeeded' }];
}
