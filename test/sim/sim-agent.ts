import type { Metadata } from '@grpc/grpc-js';
import { callerMetadata } from '../../base/channel/caller.ts';
import { Fault } from '../../base/errors.ts';
import { type AttemptId, asNodeId, attemptId, type Fence, type NodeId, parseAttemptId, ulid } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { buildDigest } from '../../config/digest.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { type Effects, type EffectsContext, openCore } from '../../node-agent/agent-core.ts';
import { Builds } from '../../node-agent/effects/builds.ts';
import type { Executor, JobOrder, Workspace } from '../../node-agent/ports.ts';
import { recordOver } from '../../node-agent/store/agent-record.ts';
import { GroupWriter } from '../../node-agent/store/group-writer.ts';
import { HeadRoom } from '../../node-agent/uplink/head-room.ts';
import { PutStream } from '../../node-agent/uplink/put-stream.ts';
import type { LinkClient } from '../../node-agent/uplink/session.ts';
import type { HeadMessage } from '../../proto/gen/labrun/v1/agent_link.ts';
import { aLimit } from '../kit/an-executor.ts';
import { wellDisk } from '../kit/well-disk.ts';
import { linkCall, putCall } from './call-kinds.ts';
import { buildHome, digestIn, noSpace, simBuildFolders } from './sim-builds.ts';
import { ProcessClock, type SimTime } from './sim-clock.ts';
import { simExecutor } from './sim-executor.ts';
import type { SimHead } from './sim-head.ts';
import { SimMachine, type SimProgram } from './sim-machine.ts';
import type { SimNetwork } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import { simSweep } from './sim-sweep.ts';

/** What a workstation needs of its world. */
export interface SimAgentPorts {
  readonly time: SimTime;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly head: SimHead;
  readonly log: Log;
  readonly cpus: number;
  /** What a batch's spec says, by its hash. */
  specOf(hash: string): BatchSpec;
  /** An attempt starts: what it does. */
  onStart(id: AttemptId, machine: SimMachine): SimProgram;
  /** A build starts: what it does. */
  onBuild(digest: string, machine: SimMachine): SimProgram;
  /** Called before an attempt's folder is removed. */
  onWipe(id: AttemptId, machine: SimMachine): void;
  /** The power of a machine went and came again. */
  onRebooted(machine: SimMachine): void;
  /** A stream to the head begins: who hears what the head says on it, before the agent does. */
  onDial(machine: SimMachine): (message: HeadMessage) => void;
  /** The agent has ended by itself, because it could not write what it must not forget. */
  onDied(agent: SimAgent): void;
  onBroken(what: string): void;
}

/** A workstation of the world, and the agent that runs there, if one does. */
export class SimAgent {
  readonly machine: SimMachine;
  readonly nodeId: NodeId;
  crashes = 0;
  readonly #ports: SimAgentPorts;
  #running: Running | undefined;

  constructor(name: string, ports: SimAgentPorts) {
    this.#ports = ports;
    this.machine = new SimMachine(name, ports.time, ports.random);
    this.nodeId = nodeIdOf(name);
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  async start(): Promise<void> {
    const { random, network, log, cpus } = this.#ports;
    const { machine } = this;
    const clock = new ProcessClock(machine.host);
    const running: Running = { clock, isAlive: true };
    this.#running = running;
    const writer = new GroupWriter(async (changes, sync) => {
      if (!machine.beginWrite(changes, sync)) {
        this.crash();
        this.#ports.onDied(this);
      }
      await this.#takes(running, sync ? 2 : 0, sync ? 20 : 1);
      machine.endWrite();
    }, clock);
    const record = await recordOver({
      entries: machine.entries,
      writer,
      newNodeId: () => this.nodeId,
      close: async () => undefined,
    });
    const executor = simExecutor({
      machine,
      isAlive: () => running.isAlive,
      takes: (leastMs, mostMs) => this.#takes(running, leastMs, mostMs),
      programFor: (home) => this.#programFor(home),
    });
    const core = await openCore({
      ...{ clock, random, log, record, nodeName: machine.name, version: '0.0.0', killGraceMs: 2_000 },
      bootId: `boot ${machine.boot}`,
      executor,
      ownDisk: wellDisk,
      inventory: {
        ...{ capabilities: {}, cpus, memoryBytes: 2 ** 33, diskBytes: 2 ** 36 },
        ...{ gpus: 0, os: 'linux', architecture: 'x64', tracking: 'cgroup-v1', dedicated: true },
        ...{ jobsAccount: 'sim', agentIsRoot: false, freezing: 'stop' },
      },
      endpoint: () => ({ kind: 'unix', path: 'simulated' }),
      dial: () => ({
        // A simulated end has all that a session uses of gRPC's; a session always gives its metadata.
        link: ((given: Metadata) =>
          network.call(
            machine.name,
            machine.host,
            linkCall(this.#ports.onDial(machine)),
            given,
          )) as unknown as LinkClient['link'],
        close: () => undefined,
      }),
      makeEffects: async (context) => this.#effects(running, executor, context),
      attemptsChanged: () => undefined,
      say: (line) => log.warn({ node: machine.name, at: this.#ports.time.nowMs }, line),
    });
    core.begin();
  }

  /** `kill -9`: jobs go on. */
  crash(): void {
    if (!this.#running) return;
    this.crashes += 1;
    this.#stop();
    this.#ports.network.killAgent(this.machine.name);
  }

  /** The machine loses its power and comes up again; an agent is started when it has. */
  reboot(): void {
    this.crashes += 1;
    this.#stop();
    this.#ports.network.powerOff(this.machine.name);
    this.machine.reboot();
    this.#ports.onRebooted(this.machine);
  }

  #stop(): void {
    if (!this.#running) return;
    this.#running.isAlive = false;
    this.#running.clock.stop();
    this.#running = undefined;
    this.machine.agentDied();
  }

  #programFor(home: string): SimProgram {
    const { machine } = this;
    const digest = digestIn(machine, home);
    if (digest !== undefined) return this.#ports.onBuild(digest, machine);
    const id = idOf(home);
    if (!machine.folders.has(id)) throw new Error(`${home} was not laid out`);
    return this.#ports.onStart(id, machine);
  }

  #effects(running: Running, executor: Executor, context: EffectsContext): Effects {
    const { network, random, head, log } = this.#ports;
    const { machine, nodeId } = this;
    const metadata = callerMetadata({ kind: 'node', name: nodeId });
    const takes = (leastMs: number, mostMs: number) => this.#takes(running, leastMs, mostMs);
    const disk: Effects['disk'] = {
      watch: () => ({ close: () => undefined }),
      explain: async (_home, _limit, end) => end,
    };
    const builds = new Builds({
      ...{ clock: running.clock, executor, disk, log, killGraceMs: 2_000, closing: context.closing },
      folders: simBuildFolders({ machine, takes, onBroken: this.#ports.onBroken }),
      openLog: () => ({ abandon: () => takes(0, 5), complete: () => takes(0, 3_000) }),
      lastLine: async () => '',
      treesChanged: () => undefined,
      limitBytes: 0, // what nobody uses goes, so that builds are made again
      report: (report) => context.reportBuild(report),
    });
    let put: PutStream | undefined;
    return {
      ...{ builds, disk, workspace: this.#workspace(takes), buildReports: () => builds.reports() },
      blobs: { obtain: async () => '', release: () => undefined, shed: () => undefined },
      link: {
        room: new HeadRoom(running.clock, random),
        open: async (signal) => {
          await context.connected(signal);
          if (!put || put.broken)
            put = new PutStream(network.call(machine.name, machine.host, putCall, metadata) as never);
          return put;
        },
        staged: async (fence) => {
          await takes(1, 10);
          try {
            const found = await head.staged(fence as Fence, nodeId); // the agent's own, which it has checked
            return new Map(
              found.list().map(({ path, sizeBytes, hash }) => [path, { sizeBytes, hash: hash ?? '' }] as const),
            );
          } catch (error) {
            throw new Fault('UNAVAILABLE', String(error));
          }
        },
      },
      specs: {
        order: async (id, { fence, namespace, batch, cpus, memoryBytes, specHash }) => {
          await takes(0, 20);
          const spec = this.#ports.specOf(specHash);
          const order: JobOrder = {
            ...{ id, spec, specIndex: 0, index: fence.index, attempt: fence.attempt, namespace, batch },
            ...{ jobName: 'job', params: {}, cpus, memoryBytes, limits: aLimit() },
          };
          return { order, buildDigest: buildDigest(spec), timeLimitMs: 0, capabilities: [] };
        },
      },
      sweep: async (job, signal) => {
        await takes(0, 10);
        if (machine.diskIsFull && random.chance(0.5)) throw noSpace();
        return await simSweep({ machine, random }, job, signal);
      },
      travel: () => ({ close: async () => undefined }),
      close: async () => undefined,
    };
  }

  #workspace(takes: (leastMs: number, mostMs: number) => Promise<void>): Workspace {
    const { machine } = this;
    return {
      homeOf: (id) => id,
      owner: undefined,
      holesMaxBytes: () => 0,
      prepare: async (order, build) => {
        await takes(0, 30);
        if (machine.diskIsFull && this.#ports.random.chance(0.7)) throw noSpace();
        if ((order.spec.build === undefined) !== (build === undefined))
          this.#ports.onBroken(`${order.id} is laid out on ${machine.name} ${build ? 'over a' : 'without its'} build`);
        const isThere = [...machine.builds].some(([key, { finished }]) => finished && buildHome(key) === build?.folder);
        if (build && !isThere)
          this.#ports.onBroken(`${order.id} is laid out over a build that is gone from ${machine.name}`);
        machine.folders.add(order.id);
        return { home: order.id, id: order.id, argv: ['true'], cwd: '/', env: {}, limits: aLimit() };
      },
      collect: async () => {
        throw new Error('sweeps are simulated as a whole');
      },
      wipe: async (id) => {
        this.#ports.onWipe(id, machine);
        await takes(0, 10);
        machine.folders.delete(id);
        machine.remove(id);
      },
      list: async () => [...machine.folders],
    };
  }

  /** Work that takes a while; never comes back to an agent that was killed meanwhile. */
  #takes(running: Running, leastMs: number, mostMs: number): Promise<void> {
    const { random } = this.#ports;
    return new Promise((resolve) => {
      this.machine.host.after(random.between(leastMs, mostMs), () => {
        if (running.isAlive) resolve();
      });
    });
  }
}

interface Running {
  readonly clock: ProcessClock;
  isAlive: boolean;
}

/** Homes and process names are attempts' ids here. */
function idOf(text: string): AttemptId {
  const ref = parseAttemptId(text);
  if (!ref) throw new Error(`${text} is no attempt`);
  return attemptId(ref, ref.attempt);
}

function nodeIdOf(name: string): NodeId {
  const id = asNodeId(ulid(1, Buffer.from(name.padEnd(10, '.'))));
  if (!id) throw new Error('ulid makes ids');
  return id;
}
