import { EventEmitter, once } from 'node:events';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { closeServer, listen, makeServer } from '../../base/channel/server.ts';
import { hashBytes, startHash } from '../../base/transfer/hash.ts';
import {
  type AgentLinkServer,
  AgentLinkService,
  type AgentMessage,
  AttemptPhase,
  type AttemptReport,
  type BuildReport,
  type HeadChange,
  type HeadMessage,
  type Hello,
  type Inventory,
  type RequeueWish,
} from '../../proto/gen/labrun/v1/agent_link.ts';
import {
  type ArchiveAck,
  type ArchiveChunk,
  type ArchiveServer,
  ArchiveService,
} from '../../proto/gen/labrun/v1/archive.ts';
import { type BlobsServer, BlobsService } from '../../proto/gen/labrun/v1/blobs.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { aFence } from './attempts.ts';

/** A file as the test's head has it staged. */
export interface StagedByTest {
  data: Buffer;
  verified: boolean;
  /** How often its content began anew. */
  starts: number;
}

/** The head's side of the wire for tests of the agent: says what the test tells it to, remembers what it hears. */
export class TestHead {
  readonly hellos: Hello[] = [];
  readonly reports: AttemptReport[] = [];
  readonly builds: BuildReport[] = [];
  readonly inventories: Inventory[] = [];
  /** Attempts that their nodes want to be rid of. */
  readonly requeues: RequeueWish[] = [];
  readonly acknowledged: bigint[] = [];
  /** When agents sent their heartbeats, by their own clocks. */
  readonly heartbeats: bigint[] = [];
  /** What it says that it can do. */
  features: string[] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly blobGets: { hash: string; offset: number }[] = [];
  /** By `<index>.<attempt> <path>`, or `build <batch id>`. */
  readonly staged = new Map<string, StagedByTest>();
  /** For how long each of its words leaves a node its attempts. */
  leaseMs = 600_000;
  /** Answers every end with `settle`, and what is over with `forget`. */
  automatic = true;
  clusterId: string = aFence().clusterId;
  /** Called before a blob is served. */
  beforeBlob: () => Promise<void> = async () => {};
  readonly #news = new EventEmitter();
  readonly #path: string;
  #server: ReturnType<typeof makeServer> | undefined;
  #link: ServerDuplexStream<AgentMessage, HeadMessage> | undefined;
  #seq = 0n;

  constructor(socketPath: string) {
    this.#path = socketPath;
    this.#news.setMaxListeners(0);
  }

  get connected(): boolean {
    return this.#link !== undefined;
  }

  async start(): Promise<void> {
    const server = makeServer();
    const link: AgentLinkServer = { link: (call) => this.#talk(call) };
    server.addService(AgentLinkService, link);
    const archive: ArchiveServer = {
      put: (call) =>
        call
          .on('data', (chunk: ArchiveChunk) => call.write(this.#take(chunk)))
          .on('end', () => call.end())
          .on('error', () => {}), // a cut connection is the agent's to notice
      staged: (call) => {
        const prefix = `${keyOf(call.request.attempt)} `;
        const files = [...this.staged].filter(([key]) => key.startsWith(prefix));
        call.write({
          files: files.map(([key, { data, verified }]) => ({
            path: key.slice(prefix.length),
            size: BigInt(data.length),
            hash: verified ? hashBytes(data) : '',
          })),
        });
        call.end();
      },
      list: (call) => call.end(),
      read: (call) => call.end(),
      log: (call) => call.end(),
    };
    server.addService(ArchiveService, archive);
    const blobs: BlobsServer = {
      missing: (_, answer) => answer(null, { missing: [] }),
      put: (_, answer) => answer(null, { stored: [] }),
      get: (call) => {
        const { hash, offset } = call.request;
        this.blobGets.push({ hash, offset: Number(offset) });
        const data = this.blobs.get(hash);
        void this.beforeBlob().then(() => {
          if (data) call.write({ offset, data: data.subarray(Number(offset)) });
          call.end();
        });
      },
    };
    server.addService(BlobsService, blobs);
    await listen(server, { kind: 'unix', path: this.#path });
    this.#server = server;
  }

  /** As if killed: connections break. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#link = undefined;
    server?.forceShutdown();
    if (server) await closeServer(server, 0);
  }

  say(...changes: NonNullable<HeadChange['change']>[]): void {
    this.#seq += 1n;
    const value = { seq: this.#seq, changes: changes.map((change) => ({ change })) };
    this.#link?.write({ message: { $case: 'delta', value } });
  }

  /** Says that it is there, and gives back a moment. */
  beat(sentMs?: bigint): void {
    this.#link?.write({ message: { $case: 'heartbeat', value: { sentMs, trouble: undefined } } });
  }

  /** Resolves with what `look` finds, now or after more was heard. */
  async until<Found>(look: () => Found | undefined | false): Promise<Found> {
    for (;;) {
      const found = look();
      if (found !== undefined && found !== false) return found;
      await once(this.#news, 'heard');
    }
  }

  /** Resolves with the first report of this phase (of this job, when given). */
  untilPhase(phase: AttemptPhase, index = 0): Promise<AttemptReport> {
    return this.until(() => this.reports.find((report) => report.phase === phase && report.fence?.index === index));
  }

  /** Phases reported of a job, without repetitions. */
  phases(index = 0): AttemptPhase[] {
    const all = this.reports.filter(({ fence }) => fence?.index === index).map(({ phase }) => phase);
    return all.filter((phase, at) => phase !== all[at - 1]);
  }

  #talk(call: ServerDuplexStream<AgentMessage, HeadMessage>): void {
    this.#seq = 0n;
    call.on('error', () => {});
    call.on('close', () => {
      if (this.#link === call) this.#link = undefined;
      this.#news.emit('heard');
    });
    call.on('data', ({ message }: AgentMessage) => {
      if (message?.$case === 'hello') {
        this.hellos.push(message.value);
        const welcome = {
          protocol: 1,
          features: this.features,
          version: '0',
          clusterId: this.clusterId,
          epoch: 1n,
          leaseMs: BigInt(this.leaseMs),
          heartbeatMs: 5_000n,
        };
        call.write({ message: { $case: 'welcome', value: welcome } });
        this.#link = call;
        for (const report of message.value.attempts) this.#heard(report);
        this.say(); // as the head does once it has compared
      } else if (message?.$case === 'heartbeat') this.heartbeats.push(message.value.sentMs ?? 0n);
      else if (message?.$case === 'acknowledged') this.acknowledged.push(message.value);
      else if (message?.$case === 'delta') {
        call.write({ message: { $case: 'acknowledged', value: message.value.seq } });
        for (const { change } of message.value.changes) {
          if (change?.$case === 'attempt') this.#heard(change.value);
          else if (change?.$case === 'build') this.builds.push(change.value);
          else if (change?.$case === 'inventory') this.inventories.push(change.value);
          else if (change?.$case === 'requeue') this.requeues.push(change.value);
        }
      }
      this.#news.emit('heard');
    });
  }

  #heard(report: AttemptReport): void {
    this.reports.push(report);
    if (!this.automatic || !report.fence) return;
    if (report.phase === AttemptPhase.ENDED) this.say({ $case: 'settle', value: report.fence });
    const over: AttemptPhase[] = [AttemptPhase.WIPED, AttemptPhase.RETURNED, AttemptPhase.LOST];
    if (over.includes(report.phase)) this.say({ $case: 'forget', value: report.fence });
  }

  #take(chunk: ArchiveChunk): ArchiveAck {
    const key =
      chunk.target?.$case === 'build'
        ? `build ${chunk.target.value.batchId}`
        : `${keyOf(chunk.target?.value)} ${chunk.path}`;
    const file = this.staged.get(key) ?? { data: Buffer.alloc(0), verified: false, starts: 0 };
    this.staged.set(key, file);
    const answer = (verified: boolean): ArchiveAck => {
      queueMicrotask(() => this.#news.emit('heard'));
      return {
        target: chunk.target,
        path: chunk.path,
        offset: BigInt(file.data.length),
        verified,
        refusedCode: '',
        refusedMessage: '',
      };
    };
    if (chunk.truncate) {
      file.data = Buffer.alloc(0);
      file.starts += 1;
    }
    file.verified = false;
    if (Number(chunk.offset) > file.data.length) return answer(false);
    file.data = Buffer.concat([file.data.subarray(0, Number(chunk.offset)), chunk.data]);
    if (chunk.finalHash === '') return answer(false);
    const hash = startHash();
    hash.update(file.data);
    file.verified = hash.digest() === chunk.finalHash;
    if (!file.verified) file.data = Buffer.alloc(0);
    return answer(file.verified);
  }
}

function keyOf(fence: Fence | undefined): string {
  return `${fence?.index}.${fence?.attempt}`;
}
