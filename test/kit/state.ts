import { asBatchId, asClusterId, asNodeId, type BatchId, type ClusterId, type NodeId } from '../../base/ids.ts';
import type { Actor } from '../../head/scheduler/actor.ts';
import { apply } from '../../head/scheduler/apply.ts';
import type { Attempt } from '../../head/scheduler/attempt.ts';
import type { Command, Verdict } from '../../head/scheduler/command.ts';
import { decide } from '../../head/scheduler/decide.ts';
import { emptyCluster } from '../../head/scheduler/draft.ts';
import type { Event, GroupFacts, LogRecord, NodeFacts, Outcome, Submission } from '../../head/scheduler/event.ts';
import { leaseMs } from '../../head/scheduler/limits.ts';
import { place } from '../../head/scheduler/place.ts';
import { type ToldYield, unyielding } from '../../head/scheduler/yielding.ts';
import { someNeeds } from './spec.ts';

/** Id number `at` of its kind, readable in a failure. */
export const batchNumber = (at: number): BatchId => known(asBatchId(numbered('B', at)));
export const nodeNumber = (at: number): NodeId => known(asNodeId(numbered('N', at)));
export const theCluster: ClusterId = known(asClusterId(numbered('C', 0)));

/** A machine with four cores and nothing special. */
export function someFacts(over: Partial<NodeFacts> = {}): NodeFacts {
  return {
    capabilities: {},
    cpus: 4,
    memoryBytes: 2 ** 33,
    diskBytes: 2 ** 36,
    gpus: 0,
    os: 'linux',
    architecture: 'x64',
    tracking: 'subreaper',
    dedicated: true,
    jobsAccount: 'tester',
    agentIsRoot: false,
    freezing: 'stop',
    ...over,
  };
}

/** Jobs of one core. */
export function someGroup(over: Partial<GroupFacts> = {}): GroupFacts {
  return { count: 1, needs: someNeeds({ cpus: 1 }), retries: 0, ...over };
}

/** A submission of batch number `at`. */
export function someSubmission(at: number, over: Partial<Submission> = {}): Submission {
  return {
    batchId: batchNumber(at),
    specHash: `blake3:${'0'.repeat(60)}${String(at).padStart(4, '0')}`,
    sourceHash: '',
    features: ['runtime.command'],
    groups: [someGroup()],
    buildDigest: '',
    buildNeeds: undefined,
    ...over,
  };
}

/** The command that submits it under the name `batch<at>`. */
export function aSubmit(at: number, over: Partial<Submission> = {}, name = `batch${at}`): Command {
  return {
    kind: 'submit',
    submission: someSubmission(at, over),
    namespace: 'lab',
    name,
    maxRunning: 0,
    maxFailures: undefined,
    origin: 'labrun',
    replace: false,
    by: 'ada',
  };
}

/** The command by which node number `at` says hello. */
export function aConnect(at: number, facts: Partial<NodeFacts> = {}, grantedMs = leaseMs): Command {
  return {
    kind: 'connect-node',
    nodeId: nodeNumber(at),
    name: `ws${at}`,
    version: '0.1.0',
    features: ['runtime.command'],
    bootId: 'boot',
    facts: someFacts(facts),
    builds: [],
    leaseMs: grantedMs,
  };
}

/** What a node says that it yields: nothing, unless said otherwise. */
export function aYield(over: Partial<ToldYield>): ToldYield {
  const { sinceMs: _since, untilMs: _until, ...nothing } = unyielding;
  return { ...nothing, sinceMsAgo: 0, endsInMs: undefined, ...over };
}

/** A head without a disk: decides, applies and places, and remembers every record. */
export class PureHead {
  readonly state = emptyCluster();
  readonly records: LogRecord[] = [];
  nowMs = 1_000;

  /** Takes a command as the engine does, and answers the verdict and all events of the turn. */
  take(command: Command, actor: Actor = { kind: 'user', name: 'ada' }): { verdict: Verdict; events: Event[] } {
    const verdict = decide(this.state, command, this.nowMs);
    const events: Event[] = [];
    const commit = (by: Actor, event: Event) => {
      this.note(event, by);
      events.push(event);
    };
    if (verdict.kind === 'accepted') for (const event of verdict.events) commit(actor, event);
    let more = true;
    while (more) {
      const plan = place(this.state, this.nowMs);
      for (const event of plan.events) commit({ kind: 'system', name: 'scheduler' }, event);
      more = plan.more;
    }
    return { verdict, events };
  }

  /** Makes an event true, wherever it comes from. */
  note(event: Event, actor: Actor = { kind: 'system', name: 'head' }): void {
    const record = { seq: this.state.seq + 1, atMs: this.nowMs, actor, event };
    apply(this.state, record);
    this.records.push(record);
  }
}

/** The live attempts, oldest first; of node number `at`, or of all. */
export function liveOn(head: PureHead, at?: number): Attempt[] {
  return [...head.state.attempts.values()].filter(({ nodeId }) => at === undefined || nodeId === nodeNumber(at));
}

/** The command by which an attempt's archive arrives whole: it succeeded, unless said otherwise. */
export function staged(attempt: Attempt, over: Partial<Outcome> = {}): Command {
  return {
    kind: 'archive-staged',
    nodeId: attempt.nodeId,
    attempt: attempt.ref,
    outcome: {
      state: 'succeeded',
      reason: undefined,
      message: '',
      exitCode: over.state === 'failed' ? 3 : 0,
      signal: undefined,
      ranMs: 5,
      ...over,
    },
    manifestHash: 'blake3:00',
    startedMsAgo: over.ranMs ?? 5,
    endedMsAgo: 0,
    pausedMs: 0,
    inline: undefined,
  };
}

/** The command by which an attempt is given back unstarted. */
export function returned(attempt: Attempt, reason: string): Command {
  return { kind: 'return-attempt', nodeId: attempt.nodeId, attempt: attempt.ref, reason, message: 'x' };
}

function numbered(letter: string, at: number): string {
  return `0${letter}${String(at).padStart(24, '0')}`;
}

function known<T>(id: T | undefined): T {
  if (id === undefined) throw new Error('the builders make well-formed ids');
  return id;
}
