import { openClient } from '../base/channel/client.ts';
import type { Endpoint } from '../base/channel/credentials.ts';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { makeFolder } from '../base/make-folder.ts';
import type { Random } from '../base/random.ts';
import { AgentLinkClient } from '../proto/gen/labrun/v1/agent_link.ts';
import { type Effects, type EffectsContext, type OpenCore, openCore } from './agent-core.ts';
import { openBuildLog } from './effects/build-log.ts';
import { Builds } from './effects/builds.ts';
import { DiskWatch } from './effects/disk-watch.ts';
import { lastLineOf } from './effects/last-line.ts';
import { LiveTravel } from './effects/live-travel.ts';
import { type ShellOrder, Shells } from './effects/shells.ts';
import { Specs } from './effects/specs.ts';
import { sweep } from './effects/sweep.ts';
import type { BlobCache, BuildFolders, Executor, OwnDisk, ProcessRequest, Workspace } from './ports.ts';
import type { ShellPlaces } from './scratch/shell-place.ts';
import type { AgentRecord } from './store/agent-record.ts';
import { openBlobCache } from './uplink/blob-cache.ts';
import { BulkLink } from './uplink/bulk-link.ts';
import type { Identity } from './uplink/identity.ts';
import type { NodeInventory } from './wire.ts';

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
  readonly ownDisk: OwnDisk;
  /** Between SIGTERM and SIGKILL when a time limit has passed. */
  readonly killGraceMs: number;
  /** Working folders and build folders read inputs through the cache. */
  makeWorkspace(blobs: BlobCache): Promise<{
    readonly workspace: Workspace;
    readonly buildFolders: BuildFolders;
    /** Terminals of people elsewhere; absent: there are none here. */
    readonly shells?: { readonly places: ShellPlaces; readonly folder: string; isAllowed(): boolean };
  }>;
  readonly inventory: NodeInventory;
  /** An attempt is somewhere else than before, or goes at another pace. */
  attemptsChanged(): void;
  /** Somebody elsewhere has opened a terminal here, or one has ended. */
  shellsChanged(): void;
  /** A line for people. */
  say(line: string): void;
}

/** An agent at work. */
export type OpenAgent = Omit<OpenCore, 'connected'>;

/** Opens an agent with real disks, processes and connections. It starts nothing and dials nobody before `begin`. */
export async function openAgent(parts: AgentParts): Promise<OpenAgent> {
  const { identity, cacheFolder } = parts;
  const endpoint = () => identity.endpoint;
  await makeFolder(cacheFolder, 0o700);
  const core = await openCore({
    ...parts,
    endpoint,
    dial: (to) => openClient(AgentLinkClient, to, 'control'),
    makeEffects: (context) => makeEffects(parts, endpoint, context),
  });
  return {
    begin() {
      core.begin();
      identity.start((signal) => core.connected(signal));
    },
    setInventory: (inventory) => core.setInventory(inventory),
    yieldTo: (yielding, wish) => core.yieldTo(yielding, wish),
    askRequeue: (ids, reason) => core.askRequeue(ids, reason),
    told: (signal) => core.told(signal),
    ownProcesses: () => core.ownProcesses(),
    attempts: () => core.attempts(),
    jobName: (id) => core.jobName(id),
    usesGpu: (id) => core.usesGpu(id),
    get coresInUse() {
      return core.coresInUse;
    },
    shells: () => core.shells(),
    checkShells: () => core.checkShells(),
    get headConnected() {
      return core.headConnected;
    },
    async close() {
      identity.close();
      await core.close();
    },
  };
}

async function makeEffects(parts: AgentParts, endpoint: () => Endpoint, context: EffectsContext): Promise<Effects> {
  const { clock, random, log, executor, record, killGraceMs } = parts;
  const { closing, connected } = context;
  const link = new BulkLink({ endpoint, nodeId: record.nodeId, connected, clock, random });
  const cachePorts = { folder: parts.cacheFolder, quotaBytes: parts.cacheQuotaBytes, link, clock, random, log };
  const blobs = await openBlobCache(cachePorts);
  parts.ownDisk.onShort((bytes) => blobs.shed(bytes));
  const { workspace, buildFolders: folders, shells: site } = await parts.makeWorkspace(blobs);
  const disk = new DiskWatch({
    clock,
    freeBytes: parts.freeBytes,
    reserveBytes: parts.diskReserveBytes,
    troubledLately: () => parts.ownDisk.troubledLately,
  });
  const builds = new Builds({
    treesChanged: () => context.treesChanged(),
    ...{ executor, folders, clock, log, closing, killGraceMs, disk },
    openLog: (home, batchId) => openBuildLog({ link, clock, random, log, closing }, home, batchId),
    lastLine: lastLineOf,
    limitBytes: parts.buildsLimitBytes,
    report: (report) => context.reportBuild(report),
  });
  const specs = new Specs(blobs, parts.processesMax);
  const shells =
    site &&
    new Shells({
      ...{ executor, folder: site.folder, owner: workspace.owner, log, clock },
      isAllowed: () => site.isAllowed(),
      changed: () => parts.shellsChanged(),
      treesChanged: () => context.treesChanged(),
      place: (order, home) => placeOf({ places: site.places, specs, folders, context }, order, home),
      attach: () => link.shell(),
    });
  await shells?.restore();
  const travelling = { link, clock, random, log, executor, workspace };
  return {
    ...{ workspace, blobs, link, disk, builds, sweep },
    specs,
    ...(shells && { shells }),
    travel: (attempt, home, sender) => new LiveTravel(travelling, attempt, home, sender),
    buildReports: () => builds.reports(),
    async close() {
      await link.close();
      await disk.close();
    },
  };
}

/** How the shell of a terminal is started. Throws `Fault` where its job does not run any more. */
async function placeOf(
  has: {
    readonly places: ShellPlaces;
    readonly specs: Specs;
    readonly folders: BuildFolders;
    readonly context: EffectsContext;
  },
  { id, term, argv, attempt }: ShellOrder,
  home: string,
): Promise<ProcessRequest> {
  const { places, specs, folders, context } = has;
  const site = { id, home, term, argv };
  if (attempt === undefined) return await places.onNode(site);
  const running = context.running(attempt);
  if (!running) throw new Fault('over', 'the job does not run there any more');
  const { order } = await specs.order(attempt, running.assignment, context.closing);
  const key = folders.keyOf(order.spec);
  return places.inJob(site, order, key === undefined ? undefined : await folders.find(key));
}
