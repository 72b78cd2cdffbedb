import type { ServerDuplexStream } from '@grpc/grpc-js';
import { background } from '../../base/background.ts';
import { failed, orThrow } from '../../base/channel/answer.ts';
import { writeTo } from '../../base/channel/streams.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { asBatchId, type ClusterId, type NodeId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import type { BurstRoom } from '../../base/transfer/burst-room.ts';
import { asContentHash } from '../../base/transfer/hash.ts';
import type { ArchiveAck, ArchiveChunk } from '../../proto/gen/labrun/v1/archive.ts';
import { placeOf } from '../archive/batch-folder.ts';
import type { BuildLogs } from '../archive/build-logs.ts';
import type { ArchiveLayout } from '../archive/layout.ts';
import type { Publisher } from '../archive/publisher.ts';
import type { StagedAttempt } from '../archive/staged-attempt.ts';
import type { Piece, Taken } from '../archive/staged-file.ts';
import type { Staging } from '../archive/staging.ts';
import type { Disks } from '../disk-watch.ts';
import type { HeadEngine } from '../ports.ts';
import { callingNode, readFence } from '../wire.ts';
import type { Door } from './door.ts';
import { attend, messagesOf } from './handle.ts';

/** What is staged of an attempt, as far as it comes in here. */
export type StagedPieces = Pick<StagedAttempt, 'closed' | 'isCrowded' | 'take' | 'list'>;

/** What taking archives needs. */
export interface PutPorts {
  readonly layout: ArchiveLayout;
  readonly clusterId: ClusterId;
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly staging: {
    forNode(...which: Parameters<Staging['forNode']>): Promise<StagedPieces>;
    checkEnding: Staging['checkEnding'];
  };
  readonly buildLogs: Pick<BuildLogs, 'take'>;
  readonly publisher: Pick<Publisher, 'settled'>;
  readonly disks: Disks;
  readonly burst: Pick<BurstRoom, 'passed'>;
  readonly log: Log;
}

/** Chunks worked on at once; then the sender waits. Pieces of one file keep their order. */
const inFlightMax = 32;
/** The same in bytes of data: what many agents send at once has to fit into memory. */
const inFlightMaxBytes = 2 * 2 ** 20;
/** Attempts and builds whose right to send is remembered by one stream. */
const targetsMax = 1_024;

type PutCall = Pick<
  ServerDuplexStream<ArchiveChunk, ArchiveAck>,
  'metadata' | 'getPath' | 'getPeer' | 'cancelled' | 'end'
> &
  ServerDuplexStream<ArchiveChunk, ArchiveAck>;

/** `Archive.Put`: files as they come, each chunk answered. What cannot be taken is refused in its answer alone. */
export function takeArchive(ports: PutPorts, door: Door): (call: PutCall) => void {
  return (call) => {
    background(
      attend(door, 'archive.put', call, 'stream', ({ caller }) =>
        drain(ports, orThrow(callingNode(caller)), call),
      ).then(
        () => call.end(),
        (error: unknown) => {
          if (!call.cancelled) call.emit('error', failed(ports.log, call.getPath(), error));
        },
      ),
    );
  };
}

async function drain(ports: PutPorts, nodeId: NodeId, call: PutCall): Promise<void> {
  const targets = new Targets(ports, nodeId);
  const running = new Set<Promise<void>>();
  let runningBytes = 0;
  // One answer after the other: a reader that is slow makes the sender wait, too.
  let answered: Promise<void> = Promise.resolve();
  for await (const chunk of messagesOf<ArchiveChunk>(call)) {
    ports.burst.passed(chunk.data.length);
    const task: Promise<void> = answerTo(ports, targets, chunk)
      .then((ack) => {
        answered = answered.then(() => (call.cancelled ? undefined : writeTo(call, ack)));
        return answered;
      })
      .finally(() => {
        running.delete(task);
        runningBytes -= chunk.data.length;
      });
    // Its failure is the stream's; it is thrown by the race or the wait for all below.
    task.catch(() => undefined);
    running.add(task);
    runningBytes += chunk.data.length;
    while (running.size >= inFlightMax || runningBytes >= inFlightMaxBytes) await Promise.race(running);
  }
  await Promise.all(running);
}

async function answerTo(ports: PutPorts, targets: Targets, chunk: ArchiveChunk): Promise<ArchiveAck> {
  const ack = {
    target: chunk.target,
    path: chunk.path,
    offset: 0n,
    verified: false,
    refusedCode: '',
    refusedMessage: '',
  };
  // Asked before anything is written: what is left is for what is here already. Agents keep what they have, and try again.
  const paused = ports.disks.problem('archive');
  if (paused) return { ...ack, refusedCode: paused.code, refusedMessage: paused.message };
  try {
    const { offset, verified } = await targets.take(chunk);
    return { ...ack, offset: BigInt(offset), verified };
  } catch (error) {
    if (error instanceof RefusedError) {
      if (error.refusal.code === 'disk-full') ports.disks.failed('archive', error.message);
      return { ...ack, refusedCode: error.refusal.code, refusedMessage: error.refusal.message };
    }
    const status = failed(ports.log, '/labrun.v1.Archive/Put', error);
    return { ...ack, refusedCode: 'busy', refusedMessage: status.details };
  }
}

/** Where chunks go. The right of the caller to send there is asked once per attempt and stream, and again after a refusal. */
class Targets {
  readonly #ports: PutPorts;
  readonly #nodeId: NodeId;
  readonly #attempts = new Map<string, Promise<StagedPieces>>();
  readonly #builds = new Map<string, Promise<string>>();

  constructor(ports: PutPorts, nodeId: NodeId) {
    this.#ports = ports;
    this.#nodeId = nodeId;
  }

  async take(chunk: ArchiveChunk): Promise<Taken> {
    const { target, path, data } = chunk;
    const finalHash = chunk.finalHash === '' ? undefined : asContentHash(chunk.finalHash);
    const offset = Number(chunk.offset);
    if ((chunk.finalHash !== '' && !finalHash) || !Number.isSafeInteger(offset)) {
      throw new RefusedError(refused('invalid', `Cannot take "${path}": its hash or offset is none`));
    }
    const piece: Piece = { offset, data, truncate: chunk.truncate, finalHash };
    switch (target?.$case) {
      case 'attempt': {
        const { batchId, index, attempt } = target.value;
        const key = `${batchId}.${index}.${attempt}`;
        const fence = orThrow(readFence(target.value, this.#ports.clusterId));
        const staged = await remember(this.#attempts, key, () => this.#ports.staging.forNode(fence, this.#nodeId));
        if (!staged.closed) {
          // The log and the manifest are small, and people wait for them.
          if (staged.isCrowded && path.startsWith('archive/')) await this.#ports.staging.checkEnding(fence);
          return await staged.take(path, piece);
        }
        this.#attempts.delete(key);
        return await this.take(chunk);
      }
      case 'build': {
        const { batchId } = target.value;
        const file = await remember(this.#builds, batchId, () => this.#buildLog(batchId));
        return await this.#ports.buildLogs.take(file, piece);
      }
      default:
        throw new RefusedError(refused('unsupported', 'Cannot take a chunk: it names neither an attempt nor a build'));
    }
  }

  async #buildLog(text: string): Promise<string> {
    const batchId = asBatchId(text);
    const found = await this.#ports.engine.query((state) => {
      const batch = batchId && state.batches.get(batchId);
      const node = state.nodes.get(this.#nodeId);
      // The attempt that wanted the build may have been given back already.
      if (!batch?.rows.nodeIds.includes(this.#nodeId)) return undefined;
      return node && { batchId: batch.id, namespace: batch.namespace, name: batch.name, node: node.name };
    });
    if (!found)
      throw new RefusedError(
        refused('not-found', `Cannot take a build's log: no batch "${text}" has had an attempt on this node`),
      );
    // The batch's folder is made first: a log alone in it would make it look like someone else's.
    await this.#ports.publisher.settled(found.batchId);
    return this.#ports.layout.buildLog(await placeOf(this.#ports.layout, found), found.node);
  }
}

async function remember<T>(known: Map<string, Promise<T>>, key: string, find: () => Promise<T>): Promise<T> {
  const there = known.get(key);
  if (there !== undefined) return await there;
  const finding = find();
  known.set(key, finding);
  for (const oldest of known.keys()) {
    if (known.size <= targetsMax) break;
    known.delete(oldest);
  }
  try {
    return await finding;
  } catch (error) {
    known.delete(key);
    throw error;
  }
}
