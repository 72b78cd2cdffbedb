import type { ServerDuplexStream } from '@grpc/grpc-js';
import { refused } from '../../base/errors.ts';
import { asClusterId, attemptId, type BatchId, type ClusterId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import type { ArchiveRecord } from '../../head/archive/archive-record.ts';
import { isDone } from '../../head/archive/delete-batch.ts';
import { placeOfResult } from '../../head/archive/place-of-result.ts';
import { Publisher } from '../../head/archive/publisher.ts';
import { liveFacts } from '../../head/archive/staging.ts';
import { Engine } from '../../head/engine.ts';
import { AgentLinks } from '../../head/grpc/agent-link-service.ts';
import { type PutPorts, takeArchive } from '../../head/grpc/archive-put.ts';
import { localDoor } from '../../head/grpc/door.ts';
import { Notices } from '../../head/notices.ts';
import type { HeadEngine } from '../../head/ports.ts';
import type { Actor } from '../../head/scheduler/actor.ts';
import { apply } from '../../head/scheduler/apply.ts';
import type { Command, Verdict } from '../../head/scheduler/command.ts';
import { type ClusterDraft, emptyCluster } from '../../head/scheduler/draft.ts';
import type { LogRecord } from '../../head/scheduler/event.ts';
import { leaseMs } from '../../head/scheduler/limits.ts';
import type { ClusterState } from '../../head/scheduler/state.ts';
import { decodeEvent } from '../../head/store/event-decode.ts';
import { encodeEvent } from '../../head/store/event-encode.ts';
import * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import { AgentLinkService } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveService } from '../../proto/gen/labrun/v1/archive.ts';
import { HostTime, ProcessClock, type SimTime } from './sim-clock.ts';
import type { SimNetwork } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import { SimStaging, StagingDisk } from './sim-staging.ts';

/** A job's folder in the archive: whose attempt it shows, and what is in it. */
export interface PublishedJob {
  readonly attempt: number;
  readonly files: ReadonlyMap<string, string>;
  readonly manifestHash: string;
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
  /** The log has lost its end: this is what is left of it. */
  onLost(records: readonly LogRecord[]): void;
  /** Called when something was refused, with the code. */
  onRefused(code: string): void;
}

/** What intake of archives is made of, but for what is not simulated. */
type PutPart = Exclude<keyof PutPorts, 'layout' | 'buildLogs'>;

/** A record on the disk. */
interface Stored {
  readonly seq: number;
  readonly atMs: number;
  readonly actor: Actor;
  readonly event: Uint8Array;
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
  /** Batches whose folder was emptied, and by which record last. */
  readonly removed = new Map<BatchId, { readonly seq: number; readonly atMs: number }>();
  readonly host: HostTime;
  /** Set while the disk takes no more. */
  diskIsFull = false;
  crashes = 0;
  readonly #ports: SimHeadPorts;
  #records: Stored[] = [];
  #backup: readonly Stored[] = [];
  /** The next head goes on with a log whose end is known to be gone. */
  #lossAccepted = false;
  #mark: { seq: number; reached: { readonly seq: number; readonly atMs: number }[] } = { seq: 0, reached: [] };
  #running: Running | undefined;

  constructor(ports: SimHeadPorts) {
    this.#ports = ports;
    this.host = new HostTime(ports.time);
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
    const { network, log, random } = this.#ports;
    const clock = new ProcessClock(this.host);
    const draft = this.durableState();
    const running: Running = { draft, clock, isAlive: true, pending: undefined, waiting: new Set() };
    // What was reached before is known by the mark alone, and it is not beyond the log.
    this.#mark = { seq: Math.min(this.#mark.seq, this.#records.length), reached: [] };
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
      submit: async (actor, command) => {
        const verdict = await engine.submit(actor, command);
        if (verdict.kind === 'refused') this.#ports.onRefused(verdict.code);
        return verdict;
      },
      // A head that has failed is gone, and whoever asked it hears nothing.
      query: (read) => (hasFailed ? new Promise(() => {}) : engine.query(read)),
      subscribe: (listener) => engine.subscribe(listener),
      oldest: async () => (this.#records.length > 0 ? 1 : 0),
      records: (since) => this.#pages(since),
    };
    const publisher = new Publisher({
      ...{ engine: facing, disks, clock, random, log },
      mark: {
        read: async () => this.#mark.seq,
        reached: (seq) => running.isAlive && this.#reached(seq),
        close: async () => undefined,
      },
      publish: (records) => this.#publish(running, records),
      stuck: async () => undefined,
    });
    const staging = new SimStaging(this.staging, liveFacts(engine), () => running.isAlive);
    const intake = {
      room: () => publisher.room(),
      seal: async (ref: { batchId: BatchId; index: number; attempt: number }, manifestHash: string) => {
        await this.#takes(running, 5, 200);
        return this.staging.seal(attemptId(ref, ref.attempt), manifestHash);
      },
    };
    const self = { kind: 'system', name: 'head' } as const;
    const started = await engine.submit(self, { kind: 'start-head', version: '0.0.0', clusterId });
    if (started.kind === 'refused') throw new Error(started.message);
    if (this.#lossAccepted)
      await engine.submit(self, { kind: 'note-shortened', how: 'accepted', message: 'simulated' });
    this.#lossAccepted = false;
    await publisher.start();
    const door = localDoor({ engine: facing, log, clock });
    const links = new AgentLinks({
      ...{ engine: facing, intake, clusterId, log, clock, notices: new Notices(log, () => engine.nowMs()) },
      cancelGraceMs: 5_000,
      version: '0.0.0',
      heartbeatMs: 10_000,
      leaseMs,
    });
    // Of a batch's build logs and folders nothing is needed here: the logs of builds are not simulated.
    const putParts = { clusterId, engine: facing, staging, publisher, disks, log, burst: { passed: () => undefined } };
    // What takes archives uses no more of these than is simulated; that none is forgotten is checked here.
    const putPorts = putParts satisfies Record<PutPart, unknown> as unknown as PutPorts;
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
    const running = this.#running;
    if (!running?.staged) throw new Error('no head answers');
    // Whoever waits for a head that dies hears that the connection is gone.
    let tell = (_: Error): void => undefined;
    const died = new Promise<never>((_, reject) => {
      tell = reject;
    });
    running.waiting.add(tell);
    return await Promise.race([running.staged(...which), died]).finally(() => running.waiting.delete(tell));
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
    for (const reject of running.waiting) reject(new Error('the connection was lost'));
    this.#running = undefined;
    // A batch of LevelDB is there whole or not at all, whatever moment the process died at.
    if (running.pending && random.chance(0.5)) this.#store(running.pending);
    if (!power) return;
    this.staging.powerCut(random);
    for (const [job, { writtenMs, synced }] of this.tree)
      if (!synced && time.nowMs - writtenMs < unsyncedMs && random.chance(0.5)) this.tree.delete(job);
  }

  /** Copies the log as it is on the disk. */
  backUp(): void {
    this.#backup = [...this.#records];
  }

  /** While no head runs: the log loses its last `count` records; `accepted`: somebody knows. */
  loseTail(count: number, accepted: boolean): void {
    this.#records = this.#records.slice(0, Math.max(0, this.#records.length - count));
    // A backup of a history that was given up is not gone back to: the archive has gone on without it.
    this.#backup = this.#backup.slice(0, this.#records.length);
    this.#lossAccepted ||= accepted;
    this.#ports.onLost(this.#read(1));
  }

  /** While no head runs: the backup takes the place of the log, and says so. */
  restore(): void {
    this.#records = [...this.#backup];
    this.#ports.onLost(this.#read(1));
    const record: LogRecord = {
      seq: this.#records.length + 1,
      atMs: Math.max(this.host.wallMs, this.#records.at(-1)?.atMs ?? 0),
      actor: { kind: 'system', name: 'head' },
      event: { kind: 'log-shortened', how: 'restored', message: 'simulated' },
    };
    this.#store([record]);
  }

  get recordCount(): number {
    return this.#records.length;
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
      this.#publishOne(running, record);
    }
  }

  /** What `head/archive/publish.ts` does, with folders that have no files. */
  #publishOne(running: Running, { event, seq, atMs }: ArchiveRecord): void {
    if (event.kind === 'attempt-lost' || event.kind === 'attempt-returned') {
      this.staging.attempts.delete(attemptId(event.attempt, event.attempt.attempt));
      return;
    }
    if (event.kind === 'batch-deleted') return this.#remove(event.batchId, { seq, atMs });
    if (event.kind !== 'archive-accepted') return;
    const id = attemptId(event.attempt, event.attempt.attempt);
    const isGone = seq < (running.draft.batches.get(event.attempt.batchId)?.deleted?.seq ?? 0);
    const files = event.inline
      ? event.inline.files.map(({ path, data }) => [path, Buffer.from(data).toString()] as const)
      : [...(this.staging.attempts.get(id) ?? [])].map(([path, { data }]) => [path, data.toString()] as const);
    this.staging.attempts.delete(id);
    if (isGone || (!event.inline && files.length === 0)) return; // it was deleted, or done before
    const { batchId, index, attempt } = event.attempt;
    const published = {
      ...{ attempt, manifestHash: event.manifestHash, files: new Map(files) },
      ...{ writtenMs: this.#ports.time.nowMs, synced: !event.inline },
    };
    this.#takePlace(`${batchId}.${index}`, published, running.draft.batches.get(batchId)?.rows.attempts[index] ?? 0);
  }

  #takePlace(job: string, published: PublishedJob, lastGiven: number): void {
    const there = this.tree.get(job);
    const where = placeOfResult(published, there ?? 'none', lastGiven);
    if (where === 'there') return;
    if (where === 'earlier') return this.#moveAside(job, published.attempt);
    if (there) this.#moveAside(job, there.attempt);
    this.tree.set(job, published);
  }

  #remove(batchId: BatchId, deletion: { readonly seq: number; readonly atMs: number }): void {
    const mark = this.removed.get(batchId);
    if (mark && isDone(deletion, mark)) return;
    this.removed.set(batchId, deletion);
    for (const job of this.tree.keys()) if (job.startsWith(`${batchId}.`)) this.tree.delete(job);
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
  /** Of those who wait for an answer. */
  readonly waiting: Set<(error: Error) => void>;
  engine?: Engine;
  staged?: (...which: Parameters<SimStaging['forNode']>) => ReturnType<SimStaging['forNode']>;
}
