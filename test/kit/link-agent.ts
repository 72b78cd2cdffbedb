import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Address } from '../../base/channel/address.ts';
import { callerMetadata } from '../../base/channel/caller.ts';
import { openClient } from '../../base/channel/client.ts';
import { systemClock } from '../../base/clock.ts';
import { asNodeId, type NodeId, ulid } from '../../base/ids.ts';
import { systemRandom } from '../../base/random.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { type ManifestEntry, manifestLine } from '../../base/transfer/manifest.ts';
import {
  type AgentChange,
  AgentLinkClient,
  type AgentMessage,
  AttemptPhase,
  type AttemptReport,
  type HeadChange,
  type HeadMessage,
  type Welcome,
} from '../../proto/gen/labrun/v1/agent_link.ts';
import { type ArchiveAck, type ArchiveChunk, ArchiveClient } from '../../proto/gen/labrun/v1/archive.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import type { OpenShell } from '../../proto/gen/labrun/v1/shell.ts';

/** The agent's side of the wire for tests of the head: says what the test tells it to, remembers what it hears. */
export class LinkAgent {
  readonly nodeId: NodeId;
  readonly heard: HeadChange[] = [];
  readonly acknowledged: bigint[] = [];
  /** What the head's heartbeats gave back. */
  readonly echoes: bigint[] = [];
  /** Terminals that somebody wants here. */
  readonly shells: OpenShell[] = [];
  welcome: Welcome | undefined;
  readonly #link: AgentLinkClient;
  readonly #archive: ArchiveClient;
  readonly #stream: ClientDuplexStream<AgentMessage, HeadMessage>;
  readonly #welcomed: Promise<void>;
  #waiters: (() => void)[] = [];
  #seq = 0n;
  ended: Error | 'closed' | undefined;

  constructor(
    address: Address,
    name: string,
    cpus = 2,
    nodeId = newNodeId(),
    running: readonly Fence[] = [],
    features: readonly string[] = ['runtime.command'],
  ) {
    this.nodeId = nodeId;
    this.#link = openClient(AgentLinkClient, address, 'control');
    this.#archive = openClient(ArchiveClient, address, 'bulk');
    this.#stream = this.#link.link(this.#metadata());
    let welcome = () => {};
    this.#welcomed = new Promise((resolve, reject) => {
      welcome = resolve;
      this.#stream.once('error', reject);
    });
    this.#stream.on('data', ({ message }: HeadMessage) => {
      if (message?.$case === 'welcome') {
        this.welcome = message.value;
        welcome();
      }
      if (message?.$case === 'heartbeat' && message.value.sentMs !== undefined) this.echoes.push(message.value.sentMs);
      if (message?.$case === 'openShell') this.shells.push(message.value);
      if (message?.$case === 'acknowledged') this.acknowledged.push(message.value);
      if (message?.$case === 'delta') {
        this.heard.push(...message.value.changes);
        this.#stream.write({ message: { $case: 'acknowledged', value: message.value.seq } });
      }
      this.#wake();
    });
    this.#stream.on('error', (error) => this.#end(error));
    this.#stream.on('end', () => this.#end('closed'));
    this.#stream.write({
      message: { $case: 'hello', value: { ...this.#hello(name, cpus, running), features: [...features] } },
    });
  }

  async connected(): Promise<this> {
    await this.#welcomed;
    return this;
  }

  /** Waits for something the head says. */
  async hear<Case extends Spoken['$case']>(
    kind: Case,
    matches: (value: ValueOf<Case>) => boolean = () => true,
  ): Promise<ValueOf<Case>> {
    for (;;) {
      for (const [at, { change }] of this.heard.entries()) {
        if (change?.$case !== kind) continue;
        const value = change.value as ValueOf<Case>;
        if (!matches(value)) continue;
        this.heard.splice(at, 1);
        return value;
      }
      if (this.ended) throw new Error(`the link ended while waiting for "${kind}": ${this.ended}`);
      await this.#news();
    }
  }

  /** The next terminal that is wanted here. */
  async shell(): Promise<OpenShell> {
    for (;;) {
      const wanted = this.shells.shift();
      if (wanted) return wanted;
      if (this.ended) throw new Error(`the link ended while a terminal was awaited: ${this.ended}`);
      await this.#news();
    }
  }

  /** Resolves when the link is over. */
  async over(): Promise<void> {
    while (!this.ended) await this.#news();
  }

  /** Says that it is there; resolves when the head has shown that it heard it. */
  async beat(sentMs: bigint, trouble?: string): Promise<void> {
    this.#stream.write({ message: { $case: 'heartbeat', value: { sentMs, trouble } } });
    while (!this.echoes.includes(sentMs)) {
      if (this.ended) throw new Error(`the link ended before it answered: ${this.ended}`);
      await this.#news();
    }
  }

  /** Tells where an attempt is; resolves when the head has acknowledged it. */
  async report(fence: Fence | undefined, phase: AttemptPhase, over: Partial<AttemptReport> = {}): Promise<void> {
    await this.tell({ $case: 'attempt', value: { ...reportOf(fence, phase), ...over } });
  }

  /** Tells something; resolves when the head has acknowledged it. */
  async tell(change: NonNullable<AgentChange['change']>): Promise<void> {
    const seq = ++this.#seq;
    this.#stream.write({ message: { $case: 'delta', value: { seq, changes: [{ change }] } } });
    while (!this.acknowledged.includes(seq)) {
      if (this.ended) throw new Error(`the link ended before it acknowledged: ${this.ended}`);
      await this.#news();
    }
  }

  /** Ends an attempt with an archive small enough for its report. */
  async endInline(
    fence: Fence | undefined,
    files: Readonly<Record<string, string>>,
    log = '',
    { failed = false, pausedMs = 0n }: { readonly failed?: boolean; readonly pausedMs?: bigint } = {},
  ): Promise<void> {
    const { manifest, staged } = archiveOf(files, log);
    const inlineArchive = { manifest, files: [...staged].map(([path, data]) => ({ path, data })) };
    await this.report(fence, AttemptPhase.ENDED, { ...endOf(manifest, failed), inlineArchive, pausedMs });
  }

  /** Sends chunks of one stream and gives the answers, one each; it reads none before `reading` has resolved. */
  async send(chunks: readonly Partial<ArchiveChunk>[], reading?: Promise<unknown>): Promise<ArchiveAck[]> {
    const stream = this.#archive.put(this.#metadata());
    const answers: ArchiveAck[] = [];
    const over = new Promise<void>((resolve, reject) => {
      stream.on('data', (ack: ArchiveAck) => answers.push(ack));
      stream.on('end', resolve);
      stream.on('error', reject);
    });
    for (const chunk of chunks) {
      stream.write({
        target: undefined,
        path: '',
        offset: 0n,
        data: Buffer.alloc(0),
        truncate: false,
        finalHash: '',
        ...chunk,
      });
    }
    stream.end();
    if (reading !== undefined) stream.pause();
    await reading;
    stream.resume();
    await over;
    return answers;
  }

  /** Sends a whole attempt's files; answers the report's facts for its end. */
  async stage(
    fence: Fence | undefined,
    files: Readonly<Record<string, string>>,
    log = '',
    links: Readonly<Record<string, string>> = {},
  ) {
    const { manifest, staged } = archiveOf(files, log, links);
    const all = [...staged, ['manifest', manifest] as const];
    await this.send(
      all.map(([path, data]) => ({
        target: fence && { $case: 'attempt', value: fence },
        path,
        data,
        truncate: true,
        finalHash: hashBytes(data),
      })),
    );
    return endOf(manifest, false);
  }

  close(): void {
    this.#stream.cancel();
    this.#link.close();
    this.#archive.close();
  }

  #metadata() {
    return callerMetadata({ kind: 'node', name: this.nodeId });
  }

  #hello(nodeName: string, cpus: number, running: readonly Fence[]) {
    const attempts = running.map((fence) => reportOf(fence, AttemptPhase.RUNNING));
    const total = { cpus, memoryBytes: 2n ** 33n, diskBytes: 2n ** 40n, gpus: 0 };
    const inventory = {
      capabilities: [],
      total,
      os: 'linux',
      architecture: 'x64',
      tracking: 'session',
      dedicated: true,
      jobsAccount: 'tester',
      agentIsRoot: false,
      freezing: 'stop',
    };
    return {
      ...{ protocolMin: 1, protocolMax: 1, features: ['runtime.command'], version: '0.1.0', clusterId: '' },
      ...{ nodeId: this.nodeId, nodeName, bootId: 'boot', inventory, attempts, builds: [] },
    };
  }

  #end(why: Error | 'closed'): void {
    this.ended ??= why;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

type Spoken = NonNullable<HeadChange['change']>;
type ValueOf<Case extends Spoken['$case']> = Extract<Spoken, { $case: Case }>['value'];

function reportOf(fence: Fence | undefined, phase: AttemptPhase): AttemptReport {
  const startedMsAgo = phase >= AttemptPhase.RUNNING ? 5n : undefined;
  return {
    fence,
    phase,
    startedMsAgo,
    endedMsAgo: undefined,
    manifestHash: '',
    returnedReason: '',
    message: '',
    pausedMs: 0n,
  };
}

/** The wire's view of an archive: its manifest, and its files by their names there. */
export function archiveOf(
  files: Readonly<Record<string, string>>,
  log: string,
  links: Readonly<Record<string, string>> = {},
): { manifest: Buffer; staged: Map<string, Buffer> } {
  const staged = new Map([['log', Buffer.from(log)]]);
  const entries: ManifestEntry[] = [fileEntry('.labrun/log', log)];
  for (const [path, text] of Object.entries(files)) {
    staged.set(`archive/${path}`, Buffer.from(text));
    entries.push(fileEntry(path, text));
  }
  for (const [path, target] of Object.entries(links)) entries.push({ kind: 'link', path, target });
  return { manifest: Buffer.from(entries.map(manifestLine).join('')), staged };
}

/** What a report says of an attempt that has ended. */
export function endOf(manifest: Buffer, failed: boolean): Partial<AttemptReport> {
  const outcome = failed
    ? { state: 'failed', reason: 'exit', message: 'exit code 3', exitCode: 3, ranMs: 5n }
    : { state: 'succeeded', reason: '', message: '', exitCode: 0, ranMs: 5n };
  return { outcome, manifestHash: hashBytes(manifest), endedMsAgo: 1n };
}

function fileEntry(path: string, text: string): ManifestEntry {
  return { kind: 'file', path, sizeBytes: Buffer.byteLength(text), mode: 0o644, hash: hashBytes(text) };
}

function newNodeId(): NodeId {
  const id = asNodeId(ulid(systemClock.nowMs(), systemRandom.bytes(10)));
  if (!id) throw new Error('a ULID is a node id');
  return id;
}
