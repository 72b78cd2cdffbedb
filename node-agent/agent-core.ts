import type { Endpoint } from '../base/channel/credentials.ts';
import type { Clock } from '../base/clock.ts';
import { RefusedError, refused } from '../base/errors.ts';
import type { AttemptId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { specFeatures } from '../config/spec.ts';
import { Agent, type AgentPorts } from './agent.ts';
import type { Attempt } from './attempts/attempt.ts';
import type { NodeYield } from './effects/node-yields.ts';
import type { ShellHere, Shells } from './effects/shells.ts';
import type { Wish } from './effects/tree-yields.ts';
import type { Executor, OwnDisk } from './ports.ts';
import type { AgentRecord } from './store/agent-record.ts';
import { Lease } from './uplink/lease.ts';
import type { LinkClient } from './uplink/session.ts';
import { Uplink } from './uplink/uplink.ts';
import {
  type BuildReport,
  type NodeInventory,
  type Welcome,
  writeAttemptReport,
  writeBuildReport,
  writeInventory,
  writeYield,
} from './wire.ts';

/** What an agent's work needs of the agent. */
export interface EffectsContext {
  /** Resolves while a head of our cluster listens. */
  connected(signal: AbortSignal): Promise<void>;
  /** News of a build for the head. */
  reportBuild(report: BuildReport): void;
  /** Processes that may have to yield run now, or have ended. */
  treesChanged(): void;
  /** An attempt whose processes run, or stand still for a while. */
  running(id: AttemptId): Attempt | undefined;
  /** What the node offers now; versions by name. */
  capabilities(): Readonly<Record<string, string>>;
  /** Aborted when the agent stops; jobs go on. */
  readonly closing: AbortSignal;
}

/** What touches disks, processes and bulk connections. */
export type Effects = Pick<
  AgentPorts,
  'workspace' | 'blobs' | 'link' | 'disk' | 'specs' | 'builds' | 'sweep' | 'travel'
> & {
  /** Terminals of people elsewhere; absent: there are none here. */
  readonly shells?: Pick<Shells, 'open' | 'keep' | 'leave' | 'list' | 'trees' | 'checkAllowed' | 'processes' | 'close'>;
  /** For the hello: where every build stands. */
  buildReports(): readonly BuildReport[];
  close(): Promise<void>;
};

/** What an agent's core is made of; everything that is not decided here comes from outside. */
export interface CoreParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly nodeName: string;
  readonly version: string;
  readonly bootId: string;
  readonly record: AgentRecord;
  readonly executor: Executor;
  readonly inventory: NodeInventory;
  readonly ownDisk: OwnDisk;
  /** Between SIGTERM and SIGKILL when a time limit has passed. */
  readonly killGraceMs: number;
  /** Where to dial now, and what to show there. */
  endpoint(): Endpoint;
  dial(endpoint: Endpoint): LinkClient;
  makeEffects(context: EffectsContext): Promise<Effects>;
  /** An attempt is somewhere else than before, or goes at another pace. */
  attemptsChanged(): void;
  /** A line for people. */
  say(line: string): void;
}

/** An agent's core at work. */
export interface OpenCore {
  /** Dials the head and starts what waits, head or no head. Call it once what the node yields is known. */
  begin(): void;
  setInventory(inventory: NodeInventory): void;
  /** Does this for the person at the desk, and tells the head. Resolves when everything that runs does it. */
  yieldTo(yielding: NodeYield, wish: Wish): Promise<void>;
  /** Asks the head to let these jobs run elsewhere; without one nothing happens. */
  askRequeue(ids: readonly AttemptId[], reason: string): void;
  /** Resolves when the head has acknowledged all it was told, at once without a head; rejects with the signal's reason. */
  told(signal: AbortSignal): Promise<void>;
  /** Ids of all processes of jobs, builds and terminals, each once. */
  ownProcesses(): Promise<readonly number[]>;
  /** What is here and has not ended. */
  attempts(): readonly Attempt[];
  /** What its batch calls the job of that attempt; nothing while that is not known here. */
  jobName(id: AttemptId): string | undefined;
  /** Whether the job of that attempt may use a GPU: also while that is not known here. */
  usesGpu(id: AttemptId): boolean;
  /** Cores that jobs have now, by their share where they are slowed down. */
  readonly coresInUse: number;
  /** Terminals of people elsewhere, and in whose place they are; nothing: the node's own. */
  shells(): readonly (Omit<ShellHere, 'attempt'> & { readonly attempt: Attempt | undefined })[];
  /** Whether there may be any has changed. */
  checkShells(): void;
  readonly headConnected: boolean;
  connected(signal: AbortSignal): Promise<void>;
  /** Stops working; its jobs go on, and the next agent takes them up. */
  close(): Promise<void>;
}

/** The protocol this agent speaks. */
const protocol = 1;

/** Takes up what an earlier agent left. Resolves when that is done; nothing new is started before `begin`. */
export async function openCore(parts: CoreParts): Promise<OpenCore> {
  const { clock, random, log, record, executor } = parts;
  const { nodeId } = record;
  const closing = new AbortController();
  const lease = new Lease(clock);
  const uplink = new Uplink({
    endpoint: () => parts.endpoint(),
    dial: (endpoint) => parts.dial(endpoint),
    clock,
    random,
    log,
    nodeId,
    say: parts.say,
    hello: () => ({
      protocolMin: protocol,
      protocolMax: protocol,
      features: [...specFeatures, ...(effects.shells ? ['shell', 'shell.command'] : [])],
      version: parts.version,
      clusterId: record.clusterId ?? '',
      nodeId,
      nodeName: parts.nodeName,
      bootId: parts.bootId,
      inventory: writeInventory(agent.inventory),
      attempts: agent.reports().map(writeAttemptReport),
      builds: effects.buildReports().map(writeBuildReport),
      yield: writeYield(agent.yields.report()),
    }),
    async welcomed(welcome) {
      lease.setTerm(welcome.leaseMs);
      await join(record, welcome);
      agent.greeted();
    },
    heard: (word) => agent.heard(word),
    leased: (heardMs) => {
      if (lease.renew(heardMs)) agent.resume();
    },
    openShell: (order) => effects.shells?.open(order),
    trouble: () => parts.ownDisk.trouble,
    garbled: (message) => log.warn({ problem: message }, 'the head said something that was not understood'),
    written: () => record.written(),
    durable: () => record.durable(),
  });
  const connected = (signal: AbortSignal) => uplink.connected(signal);
  const effects = await parts.makeEffects({
    connected,
    reportBuild: (report) => uplink.note(`build ${report.digest}`, () => ({ kind: 'build', report }), 'now'),
    treesChanged: () => agent.yields.treesChanged(),
    running: (id) => agent.running(id),
    capabilities: () => agent.inventory.capabilities,
    closing: closing.signal,
  });
  const agent: Agent = new Agent(
    {
      ...effects,
      clock,
      random,
      log,
      executor,
      record,
      lease,
      ownDisk: parts.ownDisk,
      closing: closing.signal,
      killGraceMs: parts.killGraceMs,
      attemptsChanged: () => {
        effects.shells?.keep((id) => agent.running(id) !== undefined);
        parts.attemptsChanged();
      },
      capabilities: () => agent.inventory.capabilities,
      bootId: parts.bootId,
      written: () => record.written(),
      durableSoon: () => record.durableSoon(),
      durableOrStuck: () => orStuck(record.durableSoon(), parts.ownDisk),
      tell: (key, make, urgency) => uplink.note(key, make, urgency),
    },
    parts.inventory,
  );
  parts.ownDisk.onWell(() => agent.resume());
  await agent.restore();
  return {
    begin() {
      agent.begin();
      uplink.start();
    },
    setInventory: (inventory) => agent.setInventory(inventory),
    yieldTo: (yielding, wish) => agent.yieldTo(yielding, wish),
    askRequeue: (ids, reason) => agent.askRequeue(ids, reason),
    told: (signal) => uplink.told(signal),
    ownProcesses: async () => {
      const inShells = (await effects.shells?.processes()) ?? [];
      return [...new Set([...(await agent.yields.processes()), ...inShells])];
    },
    attempts: () => agent.liveAttempts(),
    jobName: (id) => agent.jobName(id),
    usesGpu: (id) => agent.usesGpu(id),
    get coresInUse() {
      return agent.coresInUse;
    },
    shells: () =>
      (effects.shells?.list() ?? []).map(({ attempt, ...shell }) => ({
        ...shell,
        attempt: attempt && agent.running(attempt),
      })),
    checkShells: () => effects.shells?.checkAllowed(),
    get headConnected() {
      return uplink.isConnected;
    },
    connected,
    async close() {
      closing.abort(new Error('the agent is stopping'));
      await effects.shells?.close();
      await uplink.close();
      await agent.close();
      await effects.close();
      await executor.close();
      await record.close();
    },
  };
}

/** An agent belongs to one cluster for good: what it holds for it must not be wiped on another's word. */
async function join(record: AgentRecord, welcome: Welcome): Promise<void> {
  if (record.clusterId === undefined) {
    await record.joinCluster(welcome.clusterId);
    return;
  }
  if (record.clusterId === welcome.clusterId) return;
  throw new RefusedError(
    refused(
      'conflict',
      `Cannot work for this head: its cluster is ${welcome.clusterId}, this agent belongs to ${record.clusterId}; ` +
        `what it holds (${record.attempts.length} attempts when it started) is kept. Start the old head again, or this agent with another --data`,
    ),
  );
}

/** Resolves with the record, or when the disk has refused it. */
function orStuck(recorded: Promise<void>, disk: OwnDisk): Promise<void> {
  return new Promise((resolve, reject) => {
    const stopListening = disk.onStuck(resolve);
    recorded.then(resolve, reject).finally(stopListening);
  });
}
