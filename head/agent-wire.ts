import { type Refusal, refused } from '../base/errors.ts';
import { asNodeId, type ClusterId, type NodeId } from '../base/ids.ts';
import { nameProblem } from '../base/names.ts';
import { asContentHash, type ContentHash } from '../base/transfer/hash.ts';
import * as wire from '../proto/gen/labrun/v1/agent_link.ts';
import type { Fence } from '../proto/gen/labrun/v1/common.ts';
import { agoMaxMs, messageMax, textMax } from './agent-limits.ts';
import { inlineProblem } from './archive/inline-problem.ts';
import type { Change, HeldPhase } from './dispatch/reconcile.ts';
import { readFence } from './fence-wire.ts';
import type { AttemptRef } from './scheduler/attempt.ts';
import type { Command } from './scheduler/command.ts';
import type { InlineArchive, NodeFacts, Outcome } from './scheduler/event.ts';
import { buildsPerNodeMax } from './scheduler/limits.ts';
import { failureReasons } from './scheduler/state.ts';
import { readYield } from './yield-wire.ts';

/** The one version of the agent protocol this head speaks. */
export const protocol = 1;
/** Most attempts a hello may name. */
const helloMax = 100_000;
/** Most capabilities or features of a machine. */
const listMax = 1_000;
/** More cpus or gpus than any machine has. */
const cpusMax = 100_000;
/** Largest amount of bytes that is kept without loss. */
const amountMax = Number.MAX_SAFE_INTEGER;

/** What an agent says of itself, checked. */
export interface Greeting {
  readonly command: Omit<Extract<Command, { kind: 'connect-node' }>, 'leaseMs'>;
  readonly reports: readonly Report[];
  /** Digests of builds that it does not try again by itself. */
  readonly failedBuilds: readonly string[];
}

/** News of one attempt, checked. */
export interface Report {
  readonly attempt: AttemptRef;
  readonly phase: HeldPhase;
  readonly startedMsAgo: number | undefined;
  readonly endedMsAgo: number;
  /** For how long in all its processes were stopped for the person at the desk. */
  readonly pausedMs: number;
  /** Set when it has ended. */
  readonly end:
    | { readonly outcome: Outcome; readonly manifestHash: ContentHash; readonly inline: InlineArchive | undefined }
    | undefined;
  readonly returnedReason: string;
  readonly message: string;
}

/** News of a build, checked. */
export interface BuildNews {
  readonly digest: string;
  readonly state: 'ready' | 'failed' | 'gone';
  readonly message: string;
}

/** Reads an agent's hello. `caller` is who the connection says it is. */
export function readHello(hello: wire.Hello, caller: NodeId, clusterId: ClusterId): Greeting | Refusal {
  const nodeId = asNodeId(hello.nodeId);
  if (nodeId !== caller)
    return refused('denied', 'Cannot take the agent: its hello names another node than its connection');
  if (hello.protocolMin > protocol || hello.protocolMax < protocol) {
    return refused(
      'unsupported',
      `Cannot take the agent: it speaks protocol ${hello.protocolMin} to ${hello.protocolMax}, this head ${protocol}; bring both to one release`,
    );
  }
  if (hello.clusterId !== '' && hello.clusterId !== clusterId) {
    return refused(
      'conflict',
      `Cannot take the agent: it belongs to cluster ${hello.clusterId}, this is ${clusterId}; give it another --data`,
    );
  }
  const problem = nameProblem(hello.nodeName);
  if (problem) return refused('invalid', `Cannot take the agent: its name "${hello.nodeName}" ${problem}`);
  if (hello.attempts.length > helloMax)
    return refused('limit', `Cannot take the agent: it names over ${helloMax} attempts`);
  const facts = readInventory(hello.inventory);
  if ('code' in facts) return facts;
  const texts = [hello.version, hello.bootId, ...hello.features];
  if (hello.features.length > listMax || texts.some(isTooLong))
    return refused('limit', `Cannot take the agent: its hello has over ${listMax} features, or one far too long`);
  if (hello.builds.length > buildsPerNodeMax || hello.builds.some(({ buildDigest }) => isTooLong(buildDigest)))
    return refused('limit', `Cannot take the agent: it names over ${buildsPerNodeMax} builds, or one far too long`);
  const reports: Report[] = [];
  for (const attempt of hello.attempts) {
    const report = readReport(attempt, clusterId);
    // What belongs to another cluster, or cannot be read, stays the agent's own affair.
    if (!('code' in report)) reports.push(report);
  }
  const digestsOf = (wanted: wire.BuildState) =>
    hello.builds.filter(({ state }) => state === wanted).map(({ buildDigest }) => buildDigest);
  const builds = digestsOf(wire.BuildState.READY);
  const failedBuilds = digestsOf(wire.BuildState.FAILED);
  const { nodeName: name, version, features, bootId } = hello;
  const held = reports.map(({ attempt, phase }) => ({ attempt, isOver: overPhases.has(phase) }));
  const yielding = hello.yield && readYield(hello.yield);
  const told = { name, version, features, bootId, facts, builds, yielding, held };
  return { command: { kind: 'connect-node', nodeId, ...told }, reports, failedBuilds };
}

/** Reads what a machine has. */
export function readInventory(inventory: wire.Inventory | undefined): NodeFacts | Refusal {
  const total = inventory?.total;
  if (!inventory || !total || total.cpus < 1) return refused('invalid', 'Cannot take the agent: it tells of no cpus');
  const { capabilities, os, architecture, tracking, jobsAccount, freezing } = inventory;
  const texts = [
    os,
    architecture,
    tracking,
    jobsAccount,
    freezing,
    ...capabilities.flatMap((one) => [one.name, one.version]),
  ];
  if (capabilities.length > listMax || texts.some(isTooLong))
    return refused('limit', `Cannot take the agent: it tells of over ${listMax} capabilities, or of one far too long`);
  if (
    total.cpus > cpusMax ||
    total.gpus > cpusMax ||
    [total.memoryBytes, total.diskBytes].some((one) => one > amountMax)
  )
    return refused(
      'invalid',
      `Cannot take the agent: no machine has ${total.cpus} cpus, ${total.memoryBytes} bytes of memory and ${total.diskBytes} of disk`,
    );
  return {
    capabilities: Object.fromEntries(capabilities.map(({ name, version }) => [name, version])),
    cpus: total.cpus,
    memoryBytes: Number(total.memoryBytes),
    diskBytes: Number(total.diskBytes),
    gpus: total.gpus,
    os,
    architecture,
    tracking,
    dedicated: inventory.dedicated,
    jobsAccount,
    agentIsRoot: inventory.agentIsRoot,
    freezing,
  };
}

/** Reads news of an attempt. */
export function readReport(report: wire.AttemptReport, clusterId: ClusterId): Report | Refusal {
  const phase = phases[report.phase];
  const attempt = readFence(report.fence, clusterId);
  if (phase === undefined || !attempt) return refused('invalid', 'Cannot read news of an attempt');
  if ('code' in attempt) return attempt;
  const end = phase === 'ended' ? readEnd(report) : undefined;
  if (end && 'code' in end) return end;
  return {
    attempt,
    phase,
    startedMsAgo: ago(report.startedMsAgo),
    endedMsAgo: ago(report.endedMsAgo) ?? 0,
    end,
    pausedMs: ago(report.pausedMs) ?? 0,
    returnedReason: report.returnedReason.slice(0, textMax),
    message: report.message.slice(0, messageMax),
  };
}

/** Reads news of a build. */
export function readBuild(report: wire.BuildReport): BuildNews | Refusal {
  const { READY, FAILED, GONE } = wire.BuildState;
  const state =
    report.state === READY ? 'ready' : report.state === FAILED ? 'failed' : report.state === GONE ? 'gone' : undefined;
  if (!state || report.buildDigest === '' || isTooLong(report.buildDigest))
    return refused('invalid', 'Cannot read news of a build');
  return { digest: report.buildDigest, state, message: report.message.slice(0, messageMax) };
}

/** A change as it crosses the wire. `cancelGraceMs` is between the SIGTERM and the SIGKILL of a job that is cancelled. */
export function writeChange(change: Change, clusterId: ClusterId, cancelGraceMs: number): wire.HeadChange {
  const fence: Fence = { clusterId, ...change.attempt };
  switch (change.kind) {
    case 'assign': {
      const granted = { cpus: change.cpus, memoryBytes: BigInt(change.memoryBytes), diskBytes: 0n, gpus: 0 };
      const { namespace, batch, specHash, specIndex, user } = change;
      return { change: { $case: 'assign', value: { fence, namespace, batch, specHash, specIndex, granted, user } } };
    }
    case 'cancel':
      return { change: { $case: 'cancel', value: { fence, graceMs: BigInt(cancelGraceMs) } } };
    default:
      return { change: { $case: change.kind, value: fence } };
  }
}

/** Asks for files again. */
export function writeResend(attempt: AttemptRef, paths: readonly string[], clusterId: ClusterId): wire.HeadChange {
  return { change: { $case: 'resend', value: { fence: { clusterId, ...attempt }, paths: [...paths] } } };
}

/** The word that a build which failed there may be tried again. */
export function writeBuildRetry(digest: string): wire.HeadChange {
  return { change: { $case: 'buildRetry', value: digest } };
}

/** Of attempts that are only remembered. */
const overPhases: ReadonlySet<HeldPhase> = new Set(['returned', 'wiped', 'lost']);

const phases: Readonly<Record<number, HeldPhase | undefined>> = {
  [wire.AttemptPhase.ASSIGNED]: 'assigned',
  [wire.AttemptPhase.STAGING]: 'staging',
  [wire.AttemptPhase.BUILDING]: 'building',
  [wire.AttemptPhase.RUNNING]: 'running',
  [wire.AttemptPhase.PAUSED]: 'paused',
  [wire.AttemptPhase.ARCHIVING]: 'archiving',
  [wire.AttemptPhase.ENDED]: 'ended',
  [wire.AttemptPhase.RETURNED]: 'returned',
  [wire.AttemptPhase.WIPED]: 'wiped',
  [wire.AttemptPhase.LOST]: 'lost',
};

function readEnd(report: wire.AttemptReport): Report['end'] | Refusal {
  const { outcome } = report;
  const manifestHash = asContentHash(report.manifestHash);
  const state = (['succeeded', 'failed', 'cancelled'] as const).find((known) => known === outcome?.state);
  if (!outcome || !manifestHash || !state) return refused('invalid', 'Cannot read how an attempt ended');
  const problem = report.inlineArchive && inlineProblem(report.inlineArchive, manifestHash);
  if (problem) return refused('invalid', `Cannot accept the archive of an attempt: it ${problem}`);
  return {
    manifestHash,
    inline: report.inlineArchive,
    outcome: {
      state,
      reason: state === 'failed' ? (failureReasons.find((known) => known === outcome.reason) ?? 'exit') : undefined,
      message: outcome.message.slice(0, messageMax),
      exitCode: outcome.exitCode,
      signal: outcome.signal,
      ranMs: Math.min(Number(outcome.ranMs), agoMaxMs),
    },
  };
}

function ago(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Math.min(Math.max(0, Number(value)), agoMaxMs);
}

function isTooLong(text: string): boolean {
  return text.length > textMax;
}
