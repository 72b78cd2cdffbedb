import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import { readStream, writeTo } from '../../base/channel/streams.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { asBatchId, type BatchId, ulid } from '../../base/ids.ts';
import { systemRandom } from '../../base/random.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { headSettingsFile, readHeadSettings } from '../../config/head.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { initDataFolder } from '../../head/data-folder.ts';
import { type OpenHead, openHead } from '../../head/open-head.ts';
import { ArchiveClient, type FilesPage } from '../../proto/gen/labrun/v1/archive.ts';
import {
  BatchesClient,
  type BatchSummary,
  SubmitMode,
  type SubmitResponse,
} from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsClient } from '../../proto/gen/labrun/v1/blobs.ts';
import type { Selector } from '../../proto/gen/labrun/v1/common.ts';
import { EventsClient, type EventView } from '../../proto/gen/labrun/v1/events.ts';
import { NodesClient } from '../../proto/gen/labrun/v1/nodes.ts';
import { UpkeepClient } from '../../proto/gen/labrun/v1/upkeep.ts';

const metadata = callerMetadata({ kind: 'user', name: 'lab' });

/** A real head on a Unix socket in a temporary folder, and what a person's CLI would say to it. */
export class HeadWorld {
  readonly folder: string;
  readonly archive: string;
  head: OpenHead;
  /** What the head has complained about; a test that expects none checks it. */
  readonly complaints: string[];
  #clients: ReturnType<typeof clientsFor>;

  private constructor(folder: string, head: OpenHead, complaints: string[]) {
    this.folder = folder;
    this.complaints = complaints;
    this.archive = join(folder, 'archive');
    this.head = head;
    this.#clients = clientsFor(head);
  }

  /** `settings`: what its head.yaml says besides. */
  static async open(folder: string, settings = ''): Promise<HeadWorld> {
    await initDataFolder(folder, undefined, systemClock.nowMs(), systemRandom);
    await appendFile(headSettingsFile(folder), settings);
    const complaints: string[] = [];
    return new HeadWorld(folder, await start(folder, complaints), complaints);
  }

  /** A head on a data folder that is there already. */
  static async on(folder: string, acceptLoss = false, clock: Clock = systemClock): Promise<HeadWorld> {
    const complaints: string[] = [];
    return new HeadWorld(folder, await start(folder, complaints, acceptLoss, clock), complaints);
  }

  /** Has the head make a backup. */
  async backup(folder: string): Promise<void> {
    for await (const _ of readStream(this.#clients.upkeep.backup({ folder }, metadata)));
  }

  /** Whether a namespace would have to upload this content. */
  async missing(namespace: string, hash: string): Promise<boolean> {
    const { missing } = await call(this.blobs, this.blobs.missing, { namespace, hashes: [hash] }, { metadata });
    return missing.length > 0;
  }

  /** What it says is wrong. */
  async notices(): Promise<string[]> {
    const { notices } = await call(this.#clients.upkeep, this.#clients.upkeep.notices, {}, { metadata });
    return notices.map(({ text }) => text);
  }

  get batches() {
    return this.#clients.batches;
  }
  get blobs() {
    return this.#clients.blobs;
  }
  get files() {
    return this.#clients.archive;
  }
  get events() {
    return this.#clients.events;
  }
  get nodes() {
    return this.#clients.nodes;
  }

  /** Closes the head in order, and starts one again on the same data. */
  async restart(): Promise<void> {
    await this.close();
    this.head = await start(this.folder, this.complaints);
    this.#clients = clientsFor(this.head);
  }

  async close(): Promise<void> {
    for (const client of Object.values(this.#clients)) client.close();
    await this.head.close();
  }

  /** Uploads contents for a namespace. */
  async put(namespace: string, ...contents: Uint8Array[]): Promise<string[]> {
    return await new Promise((resolve, reject) => {
      const stream = this.blobs.put(metadata, (error, response) => (error ? reject(error) : resolve(response.stored)));
      for (const data of contents) {
        const size = BigInt(data.length);
        stream.write({ namespace, hash: hashBytes(data), size, offset: 0n, data: Buffer.from(data) });
      }
      stream.end();
    });
  }

  async submit(
    spec: BatchSpec,
    over: { mode?: SubmitMode; id?: BatchId; dryRun?: boolean } = {},
  ): Promise<SubmitResponse> {
    const bytes = writeSpec(spec);
    await this.put(spec.namespace, bytes);
    const { namespace, name } = spec;
    const request = {
      batchId: over.id ?? newBatchId(),
      namespace,
      name,
      specHash: hashBytes(bytes),
      mode: over.mode ?? SubmitMode.NEW,
      sourceHash: '',
      dryRun: over.dryRun ?? false,
    };
    return await call(this.batches, this.batches.submit, request, { metadata });
  }

  async get(batch: string): Promise<BatchSummary> {
    return await call(this.batches, this.batches.get, { selector: aSelector({ batch }) }, { metadata });
  }

  /** Why a job is where it is. */
  async why(batch: string, job: string): Promise<string> {
    const { summary } = await call(
      this.batches,
      this.batches.explain,
      { selector: aSelector({ batch, job }) },
      { metadata },
    );
    return summary;
  }

  /** Waits until the batch has ended. */
  async ended(batch: string): Promise<BatchSummary> {
    for await (const summary of readStream(this.batches.watch({ selector: aSelector({ batch }) }, metadata))) {
      if (summary.endedAtMs !== undefined) return summary;
    }
    throw new Error('the watch ended before the batch did');
  }

  /** Every file of a batch as `job/path` and its content. */
  async pull(over: Partial<Selector>, include: string[] = [], exclude: string[] = []): Promise<Map<string, string>> {
    const pages: FilesPage[] = [];
    const list = this.files.list({ selector: aSelector(over), include, exclude }, metadata);
    for await (const page of readStream(list)) pages.push(page);
    const wanted = pages.flatMap(({ batchId, files }) =>
      files.filter(({ kind }) => kind === 1).map(({ job, path }) => ({ batchId, job, path })),
    );
    const contents = wanted.map(() => '');
    const stream = this.files.read(metadata);
    const reading = (async () => {
      for await (const { file, data } of readStream(stream)) contents[file] += data.toString();
    })();
    for (const { batchId, job, path } of wanted) await writeTo(stream, { batchId, files: [{ job, path, offset: 0n }] });
    stream.end();
    await reading;
    return new Map(wanted.map(({ job, path }, at) => [`${job}/${path}`, contents[at] ?? '']));
  }

  async story(over: Partial<Selector> = {}, since = 0n): Promise<EventView[]> {
    const events: EventView[] = [];
    const stream = this.events.subscribe({ since, follow: false, selector: aSelector(over) }, metadata);
    for await (const page of readStream(stream)) events.push(...page.events);
    return events;
  }
}

export function newBatchId(): BatchId {
  const id = asBatchId(ulid(systemClock.nowMs(), systemRandom.bytes(10)));
  if (!id) throw new Error('a ULID is a batch id');
  return id;
}

export function aSelector(over: Partial<Selector> = {}): Selector {
  return { namespace: '', batch: '', job: '', states: [], reasons: [], where: [], ...over };
}

async function start(
  folder: string,
  complaints: string[],
  acceptLoss = false,
  clock: Clock = systemClock,
): Promise<OpenHead> {
  const complain = (facts: object, message: string) => void complaints.push(`${message} ${JSON.stringify(facts)}`);
  const log = { debug() {}, info() {}, warn: complain, error: complain };
  const onFatal = (error: unknown) => {
    throw error;
  };
  const address = { kind: 'unix', path: join(folder, 'head.sock') } as const;
  const settings = await readHeadSettings(folder);
  const ports = { clock, random: systemRandom, log, onFatal };
  return await openHead({ dataFolder: folder, settings, address, plain: false, acceptLoss, ...ports });
}

function clientsFor({ address }: OpenHead) {
  return {
    batches: openClient(BatchesClient, address, 'control'),
    blobs: openClient(BlobsClient, address, 'bulk'),
    archive: openClient(ArchiveClient, address, 'bulk'),
    events: openClient(EventsClient, address, 'control'),
    nodes: openClient(NodesClient, address, 'control'),
    upkeep: openClient(UpkeepClient, address, 'control'),
  };
}
