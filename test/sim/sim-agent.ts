import type { Metadata } from '@grpc/grpc-js';
import { callerMetadata } from '../../base/channel/caller.ts';
import { Fault } from '../../base/errors.ts';
import {
  type AttemptId,
  asNodeId,
  attemptId,
  type BatchId,
  type Fence,
  type NodeId,
  parseAttemptId,
  ulid,
} from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { logPath, manifestLine } from '../../base/transfer/manifest.ts';
import { type Effects, type EffectsContext, openCore } from '../../node-agent/agent-core.ts';
import type { Finish } from '../../node-agent/attempts/attempt.ts';
import { inlineMaxBytes } from '../../node-agent/attempts/limits.ts';
import { outcomeOf } from '../../node-agent/attempts/outcome.ts';
import type { Sweep } from '../../node-agent/effects/sweep.ts';
import type { Executor, JobOrder, ProcessEnd, RunningProcess, Workspace } from '../../node-agent/ports.ts';
import { recordOver } from '../../node-agent/store/agent-record.ts';
import { GroupWriter } from '../../node-agent/store/group-writer.ts';
import { HeadRoom } from '../../node-agent/uplink/head-room.ts';
import { PutStream } from '../../node-agent/uplink/put-stream.ts';
import type { LinkClient } from '../../node-agent/uplink/session.ts';
import { AgentLinkService } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveService } from '../../proto/gen/labrun/v1/archive.ts';
import { aLimit } from '../kit/an-executor.ts';
import { aSpec } from '../kit/spec.ts';
import { wellDisk } from '../kit/well-disk.ts';
import { ProcessClock, type SimTime } from './sim-clock.ts';
import type { SimHead } from './sim-head.ts';
import { SimMachine, type SimProgram } from './sim-machine.ts';
import type { CallKind, SimNetwork } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { Codec } from './sim-stream.ts';

/** What a workstation needs of its world. */
export interface SimAgentPorts {
  readonly time: SimTime;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly head: SimHead;
  readonly log: Log;
  readonly cpus: number;
  /** What a job does, at each attempt anew. */
  program(batchId: BatchId, index: number, attempt: number): SimProgram;
  onStart(id: AttemptId, machine: SimMachine): void;
  /** Called before an attempt's folder is removed. */
  onWipe(id: AttemptId, machine: SimMachine): void;
}

/** A workstation of the world, and the agent that runs there, if one does. */
export class SimAgent {
  readonly machine: SimMachine;
  crashes = 0;
  readonly #ports: SimAgentPorts;
  #running: Running | undefined;

  constructor(name: string, ports: SimAgentPorts) {
    this.#ports = ports;
    this.machine = new SimMachine(name, ports.time, ports.random);
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  async start(): Promise<void> {
    const { time, random, network, log, cpus } = this.#ports;
    const { machine } = this;
    const clock = new ProcessClock(time);
    const running: Running = { clock, isAlive: true };
    this.#running = running;
    const writer = new GroupWriter(async (changes, sync) => {
      await this.#takes(running, sync ? 2 : 0, sync ? 20 : 1);
      machine.write(changes, sync);
    }, clock);
    const record = await recordOver({
      entries: machine.entries,
      writer,
      newNodeId: () => nodeIdOf(machine.name),
      close: async () => undefined,
    });
    await openCore({
      ...{ clock, random, log, record, nodeName: machine.name, version: '0.0.0', killGraceMs: 2_000 },
      bootId: `boot ${machine.boot}`,
      executor: this.#executor(running),
      ownDisk: wellDisk,
      inventory: {
        ...{
          capabilities: {},
          cpus,
          memoryBytes: 2 ** 33,
          diskBytes: 2 ** 36,
          gpus: 0,
          os: 'linux',
          architecture: 'x64',
        },
        tracking: 'cgroup-v1',
        dedicated: true,
        jobsAccount: 'sim',
        agentIsRoot: false,
        freezing: 'stop',
      },
      endpoint: () => ({ kind: 'unix', path: 'simulated' }),
      dial: () => ({
        // A simulated end has all that a session uses of gRPC's; a session always gives its metadata.
        link: ((given: Metadata) => network.call(machine.name, linkCall, given)) as unknown as LinkClient['link'],
        close: () => undefined,
      }),
      makeEffects: async (context) => this.#effects(running, record.nodeId, context),
      attemptsChanged: () => undefined,
      say: (line) => log.warn({ node: machine.name, at: time.nowMs }, line),
    });
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
  }

  #stop(): void {
    if (this.#running) this.#running.isAlive = false;
    this.#running?.clock.stop();
    this.#running = undefined;
  }

  #executor(running: Running): Executor {
    const { machine } = this;
    return {
      tracking: 'cgroup-v1',
      start: async ({ id, home }) => {
        await this.#takes(running, 0, 4);
        const attempt = idOf(id);
        if (!machine.folders.has(attempt)) throw new Error(`${home} was not laid out`);
        const ref = parseAttemptId(attempt);
        if (!ref) throw new Error(`${id} is no attempt`);
        this.#ports.onStart(attempt, machine);
        const process = machine.start(attempt, this.#ports.program(ref.batchId, ref.index, ref.attempt));
        // The identity is on the disk before anybody hears of it.
        await this.#takes(running, 0, 4);
        return this.#watched(running, process);
      },
      adopt: async (home) => {
        await this.#takes(running, 0, 2);
        const process = machine.folders.get(idOf(home));
        return process && this.#watched(running, process);
      },
      kill: async (home, graceMs) => {
        await this.#takes(running, 0, Math.min(graceMs, 500));
        machine.kill(idOf(home));
      },
      processes: async () => [],
      freezing: 'cgroup-v1',
      freeze: async (home) => {
        await this.#takes(running, 0, 10);
        return { processes: machine.freeze(idOf(home)) ? 1 : 0, tookMs: 0, missed: [] };
      },
      thaw: async (home) => machine.thaw(idOf(home)),
      throttle: async () => ({ cores: 'none', weight: 'none', io: 'none', missed: [] }),
      isFrozen: async (home) => machine.isFrozen(idOf(home)),
      watchLimits: () => ({ close: () => undefined }),
      close: async () => undefined,
    };
  }

  #watched(running: Running, process: NonNullable<ReturnType<SimMachine['folders']['get']>>): RunningProcess {
    const { machine } = this;
    const ended: Promise<ProcessEnd> =
      process.boot === machine.boot
        ? process.ended.promise
        : Promise.resolve({ kind: 'lost', message: 'it was started before the machine went down' });
    // Whoever was told of a process that died with its agent hears nothing.
    const heard = new Promise<ProcessEnd>((resolve) => void ended.then((end) => running.isAlive && resolve(end)));
    return { startedAtMs: running.clock.nowMs() - (this.#ports.time.nowMs - process.startedAtMs), ended: heard };
  }

  #effects(running: Running, nodeId: NodeId, context: EffectsContext): Effects {
    const { network, random, head } = this.#ports;
    const { machine } = this;
    const metadata = callerMetadata({ kind: 'node', name: nodeId });
    let put: PutStream | undefined;
    return {
      workspace: this.#workspace(running),
      blobs: { obtain: async () => '', release: () => undefined, shed: () => undefined },
      link: {
        room: new HeadRoom(running.clock, random),
        open: async (signal) => {
          await context.connected(signal);
          if (!put || put.broken) put = new PutStream(network.call(machine.name, putCall, metadata) as never);
          return put;
        },
        staged: async (fence) => {
          await this.#takes(running, 1, 10);
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
      disk: { watch: () => ({ close: () => undefined }), explain: async (_home, _limit, end) => end },
      specs: {
        order: async (id, { fence, namespace, batch, cpus, memoryBytes }) => {
          await this.#takes(running, 0, 20);
          const order: JobOrder = {
            ...{ id, spec: aSpec(), specIndex: 0, index: fence.index, attempt: fence.attempt, namespace, batch },
            ...{ jobName: 'job', params: {}, cpus, memoryBytes, limits: aLimit() },
          };
          return { order, buildDigest: '', timeLimitMs: 0, capabilities: [] };
        },
      },
      builds: {
        ensure: async () => undefined,
        release: () => undefined,
        restore: async () => undefined,
        retry: () => undefined,
        forgetAll: () => undefined,
        trees: () => [],
      },
      sweep: async (job, signal) => {
        await this.#takes(running, 0, 10);
        return await this.#sweep(job, signal, random);
      },
      travel: () => ({ close: async () => undefined }),
      buildReports: () => [],
      close: async () => undefined,
    };
  }

  #workspace(running: Running): Workspace {
    const { machine } = this;
    return {
      homeOf: (id) => id,
      owner: undefined,
      holesMaxBytes: () => 0,
      prepare: async (order) => {
        await this.#takes(running, 0, 30);
        machine.folders.set(order.id, undefined);
        return { home: order.id, id: order.id, argv: ['true'], cwd: '/', env: {}, limits: aLimit() };
      },
      collect: async () => {
        throw new Error('sweeps are simulated as a whole');
      },
      wipe: async (id) => {
        this.#ports.onWipe(id, machine);
        await this.#takes(running, 0, 10);
        machine.folders.delete(id);
      },
      list: async () => [...machine.folders.keys()],
    };
  }

  /** What the real sweep does, over folders that have no files: everything it decides and sends is the same. */
  async #sweep(job: Sweep, signal: AbortSignal, random: SimRandom): Promise<Finish> {
    const { order, ending, started, sender } = job;
    const process = this.machine.folders.get(order.id);
    if (started && !process) throw new Error(`${order.id} was wiped before its end was told`);
    const files = started && process ? { result: process.program.output } : {};
    const contents = [...Object.entries(files), ...(started ? [[logPath, `log of ${order.id}`] as const] : [])];
    const entries = contents.map(([path, text]) => {
      const data = Buffer.from(text);
      return { path, data, wire: path === logPath ? 'log' : `archive/${path}`, hash: hashBytes(data) };
    });
    const lines = entries.map(({ path, data, hash }) =>
      manifestLine({ kind: 'file', path, sizeBytes: data.length, mode: 0o644, hash }),
    );
    const manifest = Buffer.from(lines.join(''));
    const manifestHash = hashBytes(manifest);
    const outcome = outcomeOf(ending, {
      ...{ missing: [], lastLine: '', timeLimitMs: 0, limits: aLimit(), archiveProblem: '', diskIsFull: false },
    });
    const bytes = entries.reduce((sum, { data }) => sum + data.length, manifest.length);
    if (bytes <= inlineMaxBytes && random.chance(0.7)) {
      return {
        outcome,
        manifestHash,
        inline: { manifest, files: entries.map(({ wire, data }) => ({ path: wire, data })) },
      };
    }
    const toSend = entries.map(({ wire, data, hash }) => ({ path: wire, source: data, sizeBytes: data.length, hash }));
    await sender.send(toSend, signal);
    await sender.sendOne(
      { path: 'manifest', source: manifest, sizeBytes: manifest.length, hash: manifestHash },
      signal,
    );
    return { outcome, manifestHash, inline: undefined };
  }

  /** Work that takes a while; never comes back to an agent that was killed meanwhile. */
  #takes(running: Running, leastMs: number, mostMs: number): Promise<void> {
    const { time, random } = this.#ports;
    return new Promise((resolve) => {
      time.after(random.between(leastMs, mostMs), () => {
        if (running.isAlive) resolve();
      });
    });
  }
}

interface Running {
  readonly clock: ProcessClock;
  isAlive: boolean;
}

const linkCall = kindOf(AgentLinkService.link);
const putCall = kindOf(ArchiveService.put);

function kindOf<Request, Response>(method: {
  readonly path: string;
  requestSerialize(value: Request): Buffer;
  requestDeserialize(bytes: Buffer): Request;
  responseSerialize(value: Response): Buffer;
  responseDeserialize(bytes: Buffer): Response;
}): CallKind {
  // Only messages of this method are ever given to its codecs.
  const request: Codec = {
    encode: (message) => method.requestSerialize(message as Request),
    decode: (bytes) => method.requestDeserialize(Buffer.from(bytes)),
  };
  const response: Codec = {
    encode: (message) => method.responseSerialize(message as Response),
    decode: (bytes) => method.responseDeserialize(Buffer.from(bytes)),
  };
  return { path: method.path, request, response };
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
