import { orThrow } from '../../base/channel/answer.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import { nameKey, nameProblem } from '../../base/names.ts';
import { chunksOf } from '../../base/transfer/chunk.ts';
import { asContentHash, type ContentHash, startHash } from '../../base/transfer/hash.ts';
import type { BlobChunk, BlobsServer, GetBlobRequest, PutBlobChunk } from '../../proto/gen/labrun/v1/blobs.ts';
import type { BlobUpload } from '../archive/blob-upload.ts';
import type { BlobStore } from '../archive/blobs.ts';
import { diskTrouble } from '../archive/durable.ts';
import type { Disks } from '../disk-watch.ts';
import type { Notices } from '../notices.ts';
import type { HeadEngine } from '../ports.ts';
import type { Specs } from '../specs.ts';
import type { Door, Pass } from './door.ts';
import { type CallFacts, clientStream, serverStream, unary } from './handle.ts';

/** What the blobs' door needs. */
export interface BlobsPorts {
  readonly blobs: BlobStore;
  readonly specs: Specs;
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly disks: Disks;
  readonly notices: Pick<Notices, 'say' | 'unsay'>;
}

/** Hashes asked about in one call. */
const hashesMax = 20_000;
/** Largest blob, in bytes: a container image of a terabyte is a mistake. */
export const blobMaxBytes = 2 ** 40;
/** Finished blobs brought to the disk while the next one arrives. */
const finishingMax = 16;

/** Input files, from people's machines and to agents. */
export function blobsService(ports: BlobsPorts, door: Door): BlobsServer {
  const { blobs } = ports;
  return {
    missing: unary(door, 'blob.put', async ({ namespace, hashes }, { pass }) => {
      checkNamespace(namespace);
      await pass.about({ namespace });
      if (hashes.length > hashesMax) {
        throw new RefusedError(
          refused('limit', `Cannot look for ${hashes.length} blobs at once (at most ${hashesMax})`),
        );
      }
      const missing = await blobs.missing(namespace, hashes.map(readHash)).catch((error: unknown) => {
        throw diskTrouble(error, `look for inputs of "${namespace}"`);
      });
      return { missing: missing.map(({ hash, offset }) => ({ hash, offset: BigInt(offset) })) };
    }),
    put: clientStream(door, 'blob.put', async (chunks, { pass }) => ({ stored: await takeBlobs(ports, chunks, pass) })),
    get: serverStream(door, 'blob.get', (request, facts) => readBlob(ports, request, facts)),
  };
}

async function takeBlobs(
  { blobs, disks, notices }: BlobsPorts,
  chunks: AsyncIterable<PutBlobChunk>,
  pass: Pass,
): Promise<string[]> {
  const stored: string[] = [];
  const finishing = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let now: { namespace: string; upload: BlobUpload } | undefined;
  let begun = false;
  const finish = async () => {
    const done = now;
    now = undefined;
    if (!done) return;
    const task: Promise<void> = blobs
      .keep(done.namespace, done.upload)
      .then(() => {
        stored.push(done.upload.hash);
        notices.unsay(damageKey(done.upload.hash));
      })
      .catch((error: unknown) => void failures.push(error))
      .finally(() => finishing.delete(task));
    finishing.add(task);
    if (finishing.size >= finishingMax) await Promise.race(finishing);
  };
  try {
    for await (const chunk of chunks) {
      if (failures.length > 0) break;
      // What has arrived stays for a day: the next try goes on from there.
      orThrow(disks.problem('inputs') ?? 'room');
      if (chunk.hash !== '' && chunk.hash !== now?.upload.hash) {
        if (now) throw new RefusedError(refused('invalid', `Cannot take "${now.upload.hash}": it is cut off`));
        await pass.about({ namespace: chunk.namespace });
        now = await begin(blobs, chunk);
        begun = true;
      }
      if (!now) throw new RefusedError(refused('invalid', 'Cannot take a blob: its first chunk does not name it'));
      try {
        if (chunk.data.length > 0) await now.upload.write(Number(chunk.offset), chunk.data);
      } catch (error) {
        throw diskTrouble(error, `take "${now.upload.hash}"`);
      }
      if (now.upload.complete) await finish();
    }
  } catch (error) {
    failures.push(error);
  } finally {
    await now?.upload.close();
    await Promise.all(finishing);
  }
  const [failure] = failures;
  if (failure instanceof RefusedError && failure.refusal.code === 'disk-full' && !disks.problem('inputs'))
    disks.failed('inputs', failure.message);
  if (failure !== undefined) throw failure;
  if (!begun) throw new RefusedError(refused('invalid', 'Cannot take blobs: nothing was sent'));
  return stored;
}

async function begin(blobs: BlobStore, chunk: PutBlobChunk): Promise<{ namespace: string; upload: BlobUpload }> {
  checkNamespace(chunk.namespace);
  const size = Number(chunk.size);
  if (size > blobMaxBytes) throw new RefusedError(refused('limit', `Cannot take "${chunk.hash}": ${size} bytes`));
  const upload = await blobs.upload(chunk.namespace, readHash(chunk.hash), size, Number(chunk.offset));
  return { namespace: chunk.namespace, upload };
}

async function* readBlob(
  ports: BlobsPorts,
  request: GetBlobRequest,
  { caller, pass }: CallFacts,
): AsyncGenerator<BlobChunk> {
  const { blobs } = ports;
  const { namespace } = request;
  checkNamespace(namespace);
  const hash = readHash(request.hash);
  const leased = pass.who.kind === 'node' && (await isLeased(ports, pass.who.nodeId, namespace, hash));
  await pass.about({ namespace, leased });
  // What an attempt there needs is pinned by its batch, whatever has become of the namespace's hold.
  const size = leased ? await blobs.sizeOf(hash) : await blobs.sizeFor(request.namespace, hash);
  const from = Number(request.offset);
  if (from > size) {
    throw new RefusedError(
      refused('invalid', `Cannot send "${hash}" to ${caller.name} from ${from}: it has ${size} bytes`),
    );
  }
  const sent = from === 0 ? startHash() : undefined;
  for await (const { offset, data } of chunksOf(blobs.pathOf(hash), from, size)) {
    sent?.update(data);
    yield { offset: BigInt(offset), data };
  }
  if (sent && sent.digest() !== hash) await tellDamaged(ports, namespace, hash);
}

/** A disk forgets bits in silence: whoever sees it moves the content aside and says how to have it back. */
async function tellDamaged({ blobs, notices }: BlobsPorts, namespace: string, hash: ContentHash): Promise<void> {
  if (!(await blobs.setAside(hash))) return; // right on the disk: it is fetched again
  const what = `input ${hash} of "${namespace}" was damaged on the head's disk and has been moved aside`;
  const next = 'submit its batch again, which uploads it, and retry what has failed';
  notices.say(damageKey(hash), `${what}; ${next}`, namespace);
  throw new RefusedError(refused('not-found', `Cannot send ${what}: ${next}`));
}

const damageKey = (hash: ContentHash) => `damaged ${hash}`;

/** Whether an attempt on this node needs a blob: its spec, or what the spec names. */
async function isLeased(ports: BlobsPorts, nodeId: NodeId, namespace: string, hash: ContentHash): Promise<boolean> {
  const specs = await ports.engine.query((state) => {
    const hashes = new Set<string>();
    for (const id of state.nodes.get(nodeId)?.attempts ?? []) {
      const ref = state.attempts.get(id)?.ref;
      const batch = ref && state.batches.get(ref.batchId);
      const part = batch?.parts[batch.rows.part[ref?.index ?? 0] ?? 0];
      if (batch && part && nameKey(batch.namespace) === nameKey(namespace)) hashes.add(part.specHash);
    }
    return hashes;
  });
  if (specs.has(hash)) return true;
  for (const spec of specs) if (await ports.specs.names(spec, hash)) return true;
  return false;
}

function checkNamespace(namespace: string): void {
  const problem = nameProblem(namespace);
  if (problem) throw new RefusedError(refused('invalid', `Cannot use the namespace "${namespace}": it ${problem}`));
}

function readHash(text: string): ContentHash {
  const hash = asContentHash(text);
  if (!hash) throw new RefusedError(refused('invalid', `Cannot use "${text}" as a content's hash: write blake3:…`));
  return hash;
}
