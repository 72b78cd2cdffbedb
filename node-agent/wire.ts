import { unreachable } from '../base/assert.ts';
import { type Refusal, refused } from '../base/errors.ts';
import { type AttemptId, asBatchId, asClusterId, attemptId, type ClusterId, type Fence } from '../base/ids.ts';
import { nameProblem } from '../base/names.ts';
import { asContentHash } from '../base/transfer/hash.ts';
import type * as Wire from '../proto/gen/labrun/v1/agent_link.ts';
import { AttemptPhase, BuildState } from '../proto/gen/labrun/v1/agent_link.ts';
import type { Fence as WireFence } from '../proto/gen/labrun/v1/common.ts';
import type { OpenShell } from '../proto/gen/labrun/v1/shell.ts';
import type { Assignment } from './attempts/attempt.ts';
import type { AttemptEvent } from './attempts/event.ts';
import type { AttemptReport, ReportedPhase } from './attempts/report.ts';
import type { ShellOrder } from './effects/shells.ts';
import type { MachineInventory } from './ports.ts';
import type { Yielding } from './presence/decide-yield.ts';

/** One word of the head, checked. */
export type HeadWord =
  | { readonly kind: 'assign'; readonly id: AttemptId; readonly assignment: Assignment }
  | { readonly kind: 'attempt'; readonly id: AttemptId; readonly fence: Fence; readonly event: AttemptEvent }
  | { readonly kind: 'build-retry'; readonly digest: string };

/** What the head says about itself when it takes an agent. */
export interface Welcome {
  readonly protocol: number;
  readonly version: string;
  readonly clusterId: ClusterId;
  readonly heartbeatMs: number;
  /** For how long the head leaves this node its attempts while it is silent. */
  readonly leaseMs: number;
  /** Whether it answers heartbeats, and so shows what it has heard. */
  readonly echoes: boolean;
}

/** News of a build on this node. */
export interface BuildReport {
  readonly digest: string;
  readonly state: 'ready' | 'failed' | 'gone';
  readonly message: string;
  /** Whose jobs asked for it; empty when nobody's does now. */
  readonly batchId: string;
}

/** What the head is told about the machine. */
export interface NodeInventory extends MachineInventory {
  readonly tracking: string;
  readonly dedicated: boolean;
  /** The local account that jobs run as. */
  readonly jobsAccount: string;
  readonly agentIsRoot: boolean;
  /** How jobs are stopped for a while. */
  readonly freezing: string;
}

/** One piece of news for the head. */
export type AgentNews =
  | { readonly kind: 'attempt'; readonly report: AttemptReport }
  | { readonly kind: 'build'; readonly report: BuildReport }
  | { readonly kind: 'inventory'; readonly inventory: NodeInventory }
  | { readonly kind: 'yield'; readonly report: YieldReport }
  | { readonly kind: 'requeue'; readonly fence: Fence; readonly reason: string };

/** What the node does for the person at its desk. Times are durations: clocks of machines differ. */
export interface YieldReport extends Omit<Yielding, 'untilMs'> {
  readonly sinceMsAgo: number;
  readonly endsInMs: number | undefined;
  /** From which minute of the local day its owner is usually away; nothing while too little is known. */
  readonly usuallyFreeFromMinute: number | undefined;
  /** The chance that its owner comes within the next hour, 0 to 1; nothing while too little is known. */
  readonly interruption: number | undefined;
}

/** Longest time between SIGTERM and SIGKILL that a head may ask for, in milliseconds. */
const graceMaxMs = 600_000;

/** Reads a change from the head; a refusal says what was wrong with it. */
export function readHeadChange(message: Wire.HeadChange): HeadWord | Refusal {
  const change = message.change;
  switch (change?.$case) {
    case 'assign': {
      const { fence: wireFence, namespace, batch, specHash: hash, specIndex, granted, user } = change.value;
      const fence = readFence(wireFence);
      const specHash = asContentHash(hash);
      const problem = nameProblem(namespace) ?? nameProblem(batch);
      if (!fence || !specHash || !granted || problem) {
        return refused(
          'invalid',
          `Cannot take an assignment: it ${problem ? `has a name that ${problem}` : 'is incomplete'}`,
        );
      }
      const assignment = {
        fence,
        namespace,
        batch,
        specHash,
        specIndex,
        cpus: granted.cpus,
        memoryBytes: Number(granted.memoryBytes),
        user,
      };
      return { kind: 'assign', id: idOf(fence), assignment };
    }
    case 'recall':
    case 'settle':
    case 'forget':
    case 'discard':
      return forAttempt(change.value, { kind: change.$case });
    case 'cancel': {
      const graceMs = Math.min(graceMaxMs, Number(change.value.graceMs));
      return forAttempt(change.value.fence, { kind: 'cancel', graceMs });
    }
    case 'resend':
      return forAttempt(change.value.fence, { kind: 'resend', paths: change.value.paths });
    case 'buildRetry':
      return { kind: 'build-retry', digest: change.value };
    default:
      return refused('unsupported', 'Cannot read what the head asks: it is newer than this agent');
  }
}

/** Reads the head's word that somebody wants a terminal here. */
export function readShellOrder({ id, attempt, size, term, user, argv }: OpenShell): ShellOrder | Refusal {
  const fence = attempt && readFence(attempt);
  if (!/^[0-9A-Z]{26}$/.test(id) || (attempt && !fence))
    return refused('invalid', 'Cannot open a terminal: the order is incomplete');
  const window = { columns: size?.columns || 80, rows: size?.rows || 24 };
  return { id, attempt: fence && idOf(fence), size: window, term, user, argv };
}

/** Reads the head's first message. */
export function readWelcome(message: Wire.Welcome): Welcome | Refusal {
  const clusterId = asClusterId(message.clusterId);
  const heartbeatMs = Number(message.heartbeatMs);
  if (!clusterId) return refused('invalid', `Cannot join the head: its cluster id "${message.clusterId}" is none`);
  if (!(heartbeatMs >= 100))
    return refused('invalid', `Cannot join the head: it asks for a heartbeat every ${heartbeatMs} ms`);
  return {
    protocol: message.protocol,
    version: message.version,
    clusterId,
    heartbeatMs,
    leaseMs: Number(message.leaseMs),
    echoes: message.features.includes('heartbeat.echo'),
  };
}

/** News as it crosses the wire. */
export function writeNews(news: AgentNews): Wire.AgentChange {
  switch (news.kind) {
    case 'attempt':
      return { change: { $case: 'attempt', value: writeAttemptReport(news.report) } };
    case 'build':
      return { change: { $case: 'build', value: writeBuildReport(news.report) } };
    case 'inventory':
      return { change: { $case: 'inventory', value: writeInventory(news.inventory) } };
    case 'yield':
      return { change: { $case: 'yield', value: writeYield(news.report) } };
    case 'requeue':
      return { change: { $case: 'requeue', value: { fence: { ...news.fence }, reason: news.reason } } };
    default:
      return unreachable(news);
  }
}

/** An attempt's report as it crosses the wire. */
export function writeAttemptReport(report: AttemptReport): Wire.AttemptReport {
  const { finish } = report;
  return {
    fence: { ...report.fence },
    phase: wirePhase[report.phase],
    startedMsAgo: report.startedMsAgo === undefined ? undefined : BigInt(report.startedMsAgo),
    endedMsAgo: report.endedMsAgo === undefined ? undefined : BigInt(report.endedMsAgo),
    outcome: finish && { ...finish.outcome, ranMs: BigInt(Math.max(0, Math.round(finish.outcome.ranMs))) },
    manifestHash: finish?.manifestHash ?? '',
    inlineArchive: finish?.inline && {
      manifest: bufferOf(finish.inline.manifest),
      files: finish.inline.files.map(({ path, data }) => ({ path, data: bufferOf(data) })),
    },
    returnedReason: report.returned ?? '',
    message: report.message,
    pausedMs: BigInt(report.pausedMs),
  };
}

/** A build's report as it crosses the wire. */
export function writeBuildReport(report: BuildReport): Wire.BuildReport {
  const state = { ready: BuildState.READY, failed: BuildState.FAILED, gone: BuildState.GONE }[report.state];
  return { buildDigest: report.digest, state, message: report.message, batchId: report.batchId };
}

/** What a node does for the person at its desk, as it crosses the wire. */
export function writeYield(report: YieldReport): Wire.NodeYield {
  const { step, takesJobs, cause, by, reason, condition, endsInMs, usuallyFreeFromMinute, interruption } = report;
  return {
    ...{ step, takesJobs, cause, by, reason, condition },
    sinceMsAgo: BigInt(Math.max(0, Math.round(report.sinceMsAgo))),
    ...(endsInMs === undefined ? {} : { endsInMs: BigInt(Math.max(0, Math.round(endsInMs))) }),
    ...(usuallyFreeFromMinute === undefined ? {} : { usuallyFreeFromMinute }),
    ...(interruption === undefined ? {} : { interruptionPerMille: Math.round(1_000 * interruption) }),
  };
}

/** The machine as it crosses the wire. */
export function writeInventory(inventory: NodeInventory): Wire.Inventory {
  return {
    capabilities: Object.entries(inventory.capabilities).map(([name, version]) => ({ name, version })),
    total: {
      cpus: inventory.cpus,
      memoryBytes: BigInt(Math.round(inventory.memoryBytes)),
      diskBytes: BigInt(Math.round(inventory.diskBytes)),
      gpus: inventory.gpus,
    },
    os: inventory.os,
    architecture: inventory.architecture,
    tracking: inventory.tracking,
    dedicated: inventory.dedicated,
    jobsAccount: inventory.jobsAccount,
    agentIsRoot: inventory.agentIsRoot,
    freezing: inventory.freezing,
  };
}

const wirePhase: Readonly<Record<ReportedPhase, AttemptPhase>> = {
  assigned: AttemptPhase.ASSIGNED,
  staging: AttemptPhase.STAGING,
  building: AttemptPhase.BUILDING,
  running: AttemptPhase.RUNNING,
  paused: AttemptPhase.PAUSED,
  archiving: AttemptPhase.ARCHIVING,
  ended: AttemptPhase.ENDED,
  returned: AttemptPhase.RETURNED,
  wiped: AttemptPhase.WIPED,
  lost: AttemptPhase.LOST,
};

function forAttempt(message: WireFence | undefined, event: AttemptEvent): HeadWord | Refusal {
  const fence = readFence(message);
  if (!fence) return refused('invalid', `Cannot follow "${event.kind}": it names no attempt`);
  return { kind: 'attempt', id: idOf(fence), fence, event };
}

function readFence(fence: WireFence | undefined): Fence | undefined {
  const clusterId = asClusterId(fence?.clusterId ?? '');
  const batchId = asBatchId(fence?.batchId ?? '');
  if (!fence || !clusterId || !batchId || fence.attempt < 1) return undefined;
  return { clusterId, batchId, index: fence.index, attempt: fence.attempt };
}

function idOf(fence: Fence): AttemptId {
  return attemptId(fence, fence.attempt);
}

function bufferOf(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
