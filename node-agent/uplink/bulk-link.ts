import { callerMetadata } from '../../base/channel/caller.ts';
import { openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import { dataCodec } from '../../base/channel/data-codec.ts';
import { readStream } from '../../base/channel/streams.ts';
import type { Clock } from '../../base/clock.ts';
import type { NodeId } from '../../base/ids.ts';
import type { Random } from '../../base/random.ts';
import { BurstRoom } from '../../base/transfer/burst-room.ts';
import { ArchiveChunk, ArchiveClient, ArchiveService } from '../../proto/gen/labrun/v1/archive.ts';
import { BlobsClient } from '../../proto/gen/labrun/v1/blobs.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { AgentShellsClient } from '../../proto/gen/labrun/v1/shell.ts';
import { HeadRoom } from './head-room.ts';
import { PutStream } from './put-stream.ts';
import { ShellStream } from './shell-stream.ts';
import { SmallFiles } from './small-files.ts';

/** How much of a file the head has. */
export interface StagedFile {
  readonly sizeBytes: number;
  /** Set once the complete file was verified. */
  readonly hash: string;
}

/** What the bulk connection needs. */
export interface BulkPorts {
  /** Where to dial now, and what to show there. */
  endpoint(): Endpoint;
  readonly nodeId: NodeId;
  readonly clock: Clock;
  readonly random: Random;
  /** Resolves while a head of our cluster listens. */
  connected(signal: AbortSignal): Promise<void>;
}

const chunks = dataCodec(ArchiveChunk, 5);

/** The connection for transfers, apart from the control stream so that a long file delays no heartbeat. */
export class BulkLink {
  /** Whether the head has room for archives. */
  readonly room: HeadRoom;
  /** Reads small files on their way there. */
  readonly smallFiles = new SmallFiles();
  readonly #ports: BulkPorts;
  readonly #burst: BurstRoom;
  #clients:
    | {
        readonly endpoint: Endpoint;
        readonly archive: ArchiveClient;
        readonly blobs: BlobsClient;
        readonly shells: AgentShellsClient;
      }
    | undefined;
  #put: PutStream | undefined;

  constructor(ports: BulkPorts) {
    this.#ports = ports;
    this.#burst = new BurstRoom(ports.clock);
    this.room = new HeadRoom(ports.clock, ports.random);
  }

  /** The stream for files that is open now, or a new one as soon as the head is there. All attempts share it. */
  async open(signal: AbortSignal): Promise<PutStream> {
    await this.#ports.connected(signal);
    if (!this.#put || this.#put.broken) this.#put = new PutStream(this.#startPut(), this.#burst);
    return this.#put;
  }

  /** What the head has staged of an attempt already, by path. */
  async staged(fence: Fence, signal: AbortSignal): Promise<Map<string, StagedFile>> {
    const staged = new Map<string, StagedFile>();
    const pages = this.#open().archive.staged({ attempt: { ...fence } }, this.#metadata());
    for await (const page of readStream(pages, signal)) {
      for (const { path, size, hash } of page.files) staged.set(path, { sizeBytes: Number(size), hash });
    }
    return staged;
  }

  /** A blob's bytes from an offset. Rejects with the head's refusal, or a `Fault` when the connection fails. */
  async *blob(namespace: string, hash: string, offset: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    await this.#ports.connected(signal);
    const stream = this.#open().blobs.get({ namespace, hash, offset: BigInt(offset) }, this.#metadata());
    for await (const chunk of readStream(stream, signal)) yield chunk.data;
  }

  /** Our end of a terminal, on a connection of its own: what is typed waits behind no file. */
  shell(): ShellStream {
    return new ShellStream(this.#open().shells.attach(this.#metadata()));
  }

  async close(): Promise<void> {
    this.#put?.close();
    this.#burst.close();
    this.#closeClients();
    await this.smallFiles.close();
  }

  /** A renewed certificate is shown on a new connection; calls under way end on the old one. */
  #open() {
    const endpoint = this.#ports.endpoint();
    if (this.#clients?.endpoint !== endpoint) {
      this.#closeClients();
      const archive = openClient(ArchiveClient, endpoint, 'bulk');
      this.#clients = {
        endpoint,
        archive,
        blobs: openClient(BlobsClient, endpoint, 'bulk'),
        shells: openClient(AgentShellsClient, endpoint, 'control'),
      };
    }
    return this.#clients;
  }

  #startPut() {
    const { path, responseDeserialize } = ArchiveService.put;
    return this.#open().archive.makeBidiStreamRequest(path, chunks.serialize, responseDeserialize, this.#metadata());
  }

  #closeClients(): void {
    this.#clients?.archive.close();
    this.#clients?.blobs.close();
    this.#clients?.shells.close();
  }

  #metadata() {
    return callerMetadata({ kind: 'node', name: this.#ports.nodeId });
  }
}
