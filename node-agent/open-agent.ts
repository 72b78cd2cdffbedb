import { mkdir } from 'node:fs/promises';
import type { Clock } from '../base/clock.ts';
import { RefusedError, refused } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { specFeatures } from '../config/spec.ts';
import { Agent } from './agent.ts';
import { Builds } from './effects/builds.ts';
import { DiskWatch } from './effects/disk-watch.ts';
import { Specs } from './effects/specs.ts';
import type { BlobCache, BuildFolders, Executor, Workspace } from './ports.ts';
import type { AgentRecord } from './store/record.ts';
import { openBlobCache } from './uplink/blob-cache.ts';
import { BulkLink } from './uplink/bulk-link.ts';
import type { Identity } from './uplink/identity.ts';
import { Uplink } from './uplink/uplink.ts';
import { type NodeInventory, type Welcome, writeAttemptReport, writeBuildReport, writeInventory } from './wire.ts';

/** What an agent is made of. It owns the record and the executor from here on, and closes them. */
export interface AgentParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Whom it is for its head, and where that is. */
  readonly identity: Identity;
  readonly nodeName: string;
  readonly version: string;
  readonly bootId: string;
  readonly record: AgentRecord;
  readonly executor: Executor;
  readonly cacheFolder: string;
  readonly cacheQuotaBytes: number;
  readonly buildsLimitBytes: number;
  /** Processes and threads of one job at a time, as the settings have it now. */
  processesMax(): number;
  /** What must stay free on the disk of the attempts, and what is, in bytes. */
  diskReserveBytes(): number;
  freeBytes(): Promise<number>;
  /** Between SIGTERM and SIGKILL when a time limit has passed. */
  readonly killGraceMs: number;
  /** Working folders and build folders read inputs through the cache. */
  makeWorkspace(blobs: BlobCache): Promise<{ readonly workspace: Workspace; readonly buildFolders: BuildFolders }>;
  readonly inventory: NodeInventory;
  /** A line for people. */
  say(line: string): void;
}

/** An agent at work. */
export interface OpenAgent {
  setInventory(inventory: NodeInventory): void;
  /** Stops working; its jobs go on, and the next agent takes them up. */
  close(): Promise<void>;
}

/** The protocol this agent speaks. */
const protocol = 1;

/** Takes up what an earlier agent left, then dials the head. Resolves when the agent works, head or no head. */
export async function openAgent(parts: AgentParts): Promise<OpenAgent> {
  const { clock, random, log, record, executor, identity } = parts;
  const endpoint = () => identity.endpoint;
  const { nodeId } = record;
  const closing = new AbortController();
  await mkdir(parts.cacheFolder, { recursive: true, mode: 0o700 });
  const uplink = new Uplink({
    endpoint,
    clock,
    random,
    log,
    nodeId,
    say: parts.say,
    hello: () => ({
      protocolMin: protocol,
      protocolMax: protocol,
      features: [...specFeatures],
      version: parts.version,
      clusterId: record.clusterId ?? '',
      nodeId,
      nodeName: parts.nodeName,
      bootId: parts.bootId,
      inventory: writeInventory(agent.inventory),
      attempts: agent.reports().map(writeAttemptReport),
      builds: builds.reports().map(writeBuildReport),
    }),
    welcomed: (welcome) => join(record, welcome),
    heard: (word) => agent.heard(word),
    garbled: (message) => log.warn({ problem: message }, 'the head said something that was not understood'),
    written: () => record.written(),
    durable: () => record.durable(),
  });
  const link = new BulkLink({ endpoint, nodeId, connected: (signal) => uplink.connected(signal) });
  const cachePorts = { folder: parts.cacheFolder, quotaBytes: parts.cacheQuotaBytes, link, clock, random, log };
  const blobs = await openBlobCache(cachePorts);
  const { workspace, buildFolders } = await parts.makeWorkspace(blobs);
  const disk = new DiskWatch({ clock, freeBytes: parts.freeBytes, reserveBytes: parts.diskReserveBytes });
  const builds = new Builds({
    executor,
    folders: buildFolders,
    link,
    clock,
    random,
    log,
    closing: closing.signal,
    limitBytes: parts.buildsLimitBytes,
    killGraceMs: parts.killGraceMs,
    disk,
    report: (report) => uplink.note(`build ${report.digest}`, () => ({ kind: 'build', report }), 'now'),
  });
  const agent: Agent = new Agent(
    {
      clock,
      random,
      log,
      executor,
      blobs,
      link,
      disk,
      workspace,
      builds,
      record,
      closing: closing.signal,
      killGraceMs: parts.killGraceMs,
      specs: new Specs(blobs, parts.processesMax),
      capabilities: () => agent.inventory.capabilities,
      bootId: parts.bootId,
      written: () => record.written(),
      durableSoon: () => record.durableSoon(),
      tell: (key, make, urgency) => uplink.note(key, make, urgency),
    },
    parts.inventory,
  );
  await agent.restore();
  uplink.start();
  identity.start((signal) => uplink.connected(signal));
  return {
    setInventory: (inventory) => agent.setInventory(inventory),
    async close() {
      closing.abort(new Error('the agent is stopping'));
      identity.close();
      await uplink.close();
      link.close();
      await agent.close();
      await disk.close();
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
