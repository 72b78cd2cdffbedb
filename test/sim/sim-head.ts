import type { ServerDuplexStream } from '@grpc/grpc-js';
import { refused } from '../../base/errors.ts';
import { asClusterId, attemptId, type BatchId, type ClusterId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { type ArchiveRecord, Publisher } from '../../head/archive/publisher.ts';
import { liveFacts } from '../../head/archive/staging.ts';
import { Engine } from '../../head/engine.ts';
import { AgentLinks } from '../../head/grpc/agent-link-service.ts';
import { type PutPorts, takeArchive } from '../../head/grpc/archive-put.ts';
import { localDoor } from '../../head/grpc/door.ts';
import { Notices } from '../../head/notices.ts';
import type { HeadEngine } from '../../head/ports.ts';
import { apply } from '../../head/scheduler/apply.ts';
import type { Command, Verdict } from '../../head/scheduler/command.ts';
import { type ClusterDraft, emptyCluster } from '../../head/scheduler/draft.ts';
import type { Actor, LogRecord } from '../../head/scheduler/event.ts';
import { leaseMs } from '../../head/scheduler/limits.ts';
import type { ClusterState } from '../../head/scheduler/state.ts';
import { decodeEvent } from '../../head/store/event-decode.ts';
import { encodeEvent } from '../../head/store/event-encode.ts';
import * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import { AgentLinkService } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveService } from '../../proto/gen/labrun/v1/archive.ts';
import { ProcessClock, type SimTime } from './sim-clock.ts';
import type { SimNetwork } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import { SimStaging, StagingDisk } from './sim-staging.ts';

/** A job's folder in the archive: whose attempt it shows, and what is in it. */
export interface PublishedJob {
  readonly attempt: number;
  readonly files: ReadonlyMap<string, string>;
  /** When it was written; a power cut may undo what is young. */
  readonly writtenMs: number;
  /** Whether it was on the disk before it was accepted. */
  readonly synced: boolean;
}

/** What the head's host needs of its world. */
export interface SimHeadPorts {
  readonly time: SimTime;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly log: Log;
  /** Called when an engine finds that it has gone wrong. */
  onFatal(error: unknown): void;
  /** Called with every record that is durable, the moment it is. */
  onDurable(record: LogRecord): void;
}

const clusterId: ClusterId = (() => {
  const id = asClusterId('C'.padStart(26, '0'));
  if (!id) throw new Error('26 characters are an id');
  return id;
})();

/** How long the kernel may keep written data from the disk, in milliseconds. */
const unsyncedMs = 60_000;
/** How far the publisher's mark lags, as that of head/archive/published-mark.ts does, in milliseconds. */
const markBehindMs = 120_000;

/** The storage machine: its disk, and the head that runs there, if one does. */
export class SimHead {
  readonly staging = new StagingDisk();
  /** By job: the archive's folders. */
  readonly tree = new Map<string, PublishedJob>();
  /** Attempts of a job that were in its folder before. */
  readonly earlier = new Map<string, number[]>();
  /** Set while the disk takes no more. */
  diskIsFull = false;
  crashes = 0;
  readonly #ports: SimHeadPorts;
  #records: { readonly seq: number; readonly atMs: number; readonly actor: Actor; readonly event: Uint8Array }[] = [];
  #mark: { seq: number; reached: { readonly seq: number; readonly atMs: number }[] } = { seq: 0, reached: [] };
  #running: Running | undefined;

  constructor(ports: SimHeadPorts) {
    this.#ports = ports;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** The state as the head's memory has it; for checks alone. */
  get state(): ClusterState | undefined {
    return this.#running?.draft;
  }

  /** The state as a restart would read it. */
  durableState(): ClusterDraft {
    const draft = emptyCluster();
    for (const record of this.#read(1)) apply(draft, record);
    return draft;
  }

  records(): readonly LogRecord[] {
    return this.#read(1);
  }

  async start(): Promise<void> {
    const { time, network, log, random } = this.#ports;
    const clock = new ProcessClock(time);
    const draft = this.durableState();
    const running: Running = { draft, clock, isAlive: true, pending: undefined };
    this.#mark.reached = []; // what was reached before is known by the mark alone
    this.#running = running;
    let hasFailed = false;
    const disks = {
      problem: () => (this.diskIsFull ? refused('disk-full', 'the disk is full') : undefined),
      failed: () => undefined,
    };
    const engine = new Engine({
      clock,
      log: { append: (records) => this.#append(running, records) },
      draft,
      diskProblem: () => disks.problem(),
      onFatal: (error) => {
        hasFailed = true;
        this.#ports.onFatal(error);
      },
    });
    running.engine = engine;
    const facing: HeadEngine = {
      submit: (actor, command) => engine.submit(actor, command),
      // A head that has failed is gone, and whoever asked it hears nothing.
      query: (read) => (hasFailed ? new Promise(() => {}) : engine.query(read)),
      subscribe: (listener) => engine.subscribe(listener),
      oldest: async () => (this.#records.length > 0 ? 1 : 0),
      records: (since) => this.#pages(since),
    };
    const publisher = new Publisher({
      engine: facing,
      disks,
      clock,
      random,
      log,
      mark: {
        read: async () => this.#mark.seq,
        reached: (seq) => running.isAlive && this.#reached(seq),
        close: async () => undefined,
      },
      publish: (records) => this.#publish(running, records),
    });
    const staging = new SimStaging(this.staging, liveFacts(engine), () => running.isAlive);
    const intake = {
      room: () => publisher.room(),
      seal: async (ref: { batchId: BatchId; index: number; attempt: number }, manifestHash: string) => {
        await this.#takes(running, 5, 200);
        return this.staging.seal(attemptId(ref, ref.attempt), manifestHash);
      },
    };
    const started = await engine.submit(
      { kind: 'system', name: 'head' },
      { kind: 'start-head', version: '0.0.0', clusterId },
    );
    if (started.kind === 'refused') throw new Error(started.message);
    await publisher.start();
    const door = localDoor({ engine: facing, log, clock });
    const links = new AgentLinks({
      ...{ engine: facing, intake, clusterId, log, clock, notices: new Notices(log, () => engine.nowMs()) },
      cancelGraceMs: 5_000,
      version: '0.0.0',
      heartbeatMs: 10_000,
      leaseMs,
    });
    // Of a batch's build logs and folders nothing is needed here: the batches of this world have no builds.
    const putPorts = { clusterId, engine: facing, staging, publisher, disks, log } as unknown as PutPorts;
    const put = takeArchive(putPorts, door);
    if (this.#running !== running) return;
    network.server = {
      accept: (path, end) => {
        // A simulated end has all that these handlers use of gRPC's.
        const stream = end as unknown as ServerDuplexStream<never, never>;
        if (path === AgentLinkService.link.path) links.service(door).link(stream);
        else if (path === ArchiveService.put.path) put(stream as Parameters<typeof put>[0]);
        else throw new Error(`nobody answers ${path}`);
      },
    };
    running.staged = (fence, nodeId) => staging.forNode(fence, nodeId);
  }

  /** Asks the running head for a change, as a door would. Rejects when it dies before it answers. */
  async submit(actor: Actor, command: Command): Promise<Verdict> {
    const engine = this.#running?.engine;
    if (!engine) throw new Error('no head answers');
    return await engine.submit(actor, command);
  }

  /** What is staged of an attempt, for its node. */
  async staged(...which: Parameters<NonNullable<Running['staged']>>) {
    if (!this.#running?.staged) throw new Error('no head answers');
    return await this.#running.staged(...which);
  }

  /** `kill -9`, or, with `power`, the plug: then also what was not synced is lost, in part. */
  crash(power: boolean): void {
    const running = this.#running;
    if (!running) return;
    this.crashes += 1;
    const { network, random, time } = this.#ports;
    network.killHead();
    running.isAlive = false;
    running.clock.stop();
    this.#running = undefined;
    // A batch of LevelDB is there whole or not at all, whatever moment the process died at.
    if (running.pending && random.chance(0.5)) this.#store(running.pending);
    if (!power) return;
    this.staging.powerCut(random);
    for (const [job, { writtenMs, synced }] of this.tree)
      if (!synced && time.nowMs - writtenMs < unsyncedMs && random.chance(0.5)) this.tree.delete(job);
  }

  async #append(running: Running, records: readonly LogRecord[]): Promise<void> {
    running.pending = records;
    await this.#takes(running, 1, 12);
    running.pending = undefined;
    this.#store(records);
  }

  #store(records: readonly LogRecord[]): void {
    for (const record of records) {
      const { seq, atMs, actor } = record;
      if (seq !== this.#records.length + 1) throw new Error(`record ${seq} follows ${this.#records.length}`);
      this.#records.push({ seq, atMs, actor, event: disk.Event.encode(encodeEvent(record.event)).finish() });
    }
    for (const record of this.#read(this.#records.length - records.length + 1)) this.#ports.onDurable(record);
  }

  #read(since: number): LogRecord[] {
    return this.#records.slice(since - 1).map(({ event, ...record }) => ({
      ...record,
      event: decodeEvent(disk.Event.decode(event)),
    }));
  }

  async *#pages(since: number): AsyncGenerator<readonly LogRecord[]> {
    const all = this.#read(since);
    for (let at = 0; at < all.length; at += 100) yield all.slice(at, at + 100);
  }

  #reached(seq: number): void {
    const { nowMs } = this.#ports.time;
    this.#mark.reached.push({ seq, atMs: nowMs });
    const safe = this.#mark.reached.filter(({ atMs }) => nowMs - atMs >= markBehindMs).at(-1);
    if (safe) this.#mark.seq = safe.seq;
  }

  async #publish(running: Running, records: readonly ArchiveRecord[]): Promise<void> {
    for (const record of records) {
      await this.#takes(running, 0, 3);
      this.#publishOne(record);
    }
  }

  #publishOne({ event }: ArchiveRecord): void {
    if (event.kind === 'attempt-lost' || event.kind === 'attempt-returned') {
      this.staging.attempts.delete(attemptId(event.attempt, event.attempt.attempt));
      return;
    }
    if (event.kind !== 'archive-accepted') return;
    const id = attemptId(event.attempt, event.attempt.attempt);
    const files = event.inline
      ? event.inline.files.map(({ path, data }) => [path, Buffer.from(data).toString()] as const)
      : [...(this.staging.attempts.get(id) ?? [])].map(([path, { data }]) => [path, data.toString()] as const);
    if (!event.inline && files.length === 0) return; // done before
    const job = `${event.attempt.batchId}.${event.attempt.index}`;
    const there = this.tree.get(job);
    if (!there || there.attempt <= event.attempt.attempt) {
      if (there && there.attempt < event.attempt.attempt) this.#moveAside(job, there.attempt);
      this.tree.set(job, {
        attempt: event.attempt.attempt,
        files: new Map(files),
        writtenMs: this.#ports.time.nowMs,
        synced: !event.inline,
      });
    }
    this.staging.attempts.delete(id);
  }

  #moveAside(job: string, attempt: number): void {
    const earlier = this.earlier.get(job) ?? [];
    this.earlier.set(job, [...earlier.filter((other) => other !== attempt), attempt]);
  }

  /** Work that takes a while; never comes back to a process that died meanwhile. */
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
  readonly draft: ClusterDraft;
  readonly clock: ProcessClock;
  isAlive: boolean;
  /** Records on their way to the disk. */
  pending: readonly LogRecord[] | undefined;
  engine?: Engine;
  staged?: (...which: Parameters<SimStaging['forNode']>) => ReturnType<SimStaging['forNode']>;
}
