import { orThrow } from '../../base/channel/answer.ts';
import type { Caller } from '../../base/channel/caller.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { asBatchId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { nameProblem } from '../../base/names.ts';
import {
  type ArchivedFile,
  ArchivedFileKind,
  type ArchiveServer,
  type FileChunk,
  type FilesPage,
  type ListFilesRequest,
  type ReadFilesRequest,
  type StagedPage,
} from '../../proto/gen/labrun/v1/archive.ts';
import { placeOf } from '../archive/batch-folder.ts';
import { type FileFilter, readFilter } from '../archive/patterns.ts';
import { openBelow, readFrom, treeEntries } from '../archive/read-tree.ts';
import { knownBatch } from '../scheduler/retired.ts';
import { readSelection } from '../select.ts';
import { callingNode, readFence, readOffset } from '../wire.ts';
import { type PutPorts, takeArchive } from './archive-put.ts';
import { isThere, refuseDeleted } from './delete-batch.ts';
import type { Door, Pass } from './door.ts';
import { findBatch, findJobs } from './find-jobs.ts';
import { foreignJobs, readForeignId, writeForeignId } from './foreign-folder.ts';
import { bidi, type CallFacts, serverStream } from './handle.ts';
import { type LogPorts, logStream } from './log-stream.ts';

/** What the archive's door needs. */
export type ArchivePorts = PutPorts & LogPorts & { readonly log: Log };

/** Entries in one page. */
const pageMax = 500;

/** Files of attempts, on their way in and back to people. */
export function archiveService(ports: ArchivePorts, door: Door): ArchiveServer {
  return {
    put: takeArchive(ports, door),
    staged: serverStream(door, 'archive.put', (request, { caller }) => stagedPages(ports, request.attempt, caller)),
    list: serverStream(door, 'batch.read', (request, facts) => listFiles(ports, request, facts)),
    read: bidi(door, 'batch.read', (requests, { pass }) => readFiles(ports, requests, pass)),
    log: serverStream(door, 'batch.read', (request, facts) => logStream(ports, request, facts)),
  };
}

async function* stagedPages(
  ports: ArchivePorts,
  wire: Parameters<typeof readFence>[0],
  caller: Caller,
): AsyncGenerator<StagedPage> {
  const fence = orThrow(readFence(wire, ports.clusterId));
  const staged = await ports.staging.forNode(fence, orThrow(callingNode(caller)));
  const files = staged.list();
  for (let at = 0; at < files.length; at += pageMax) {
    const page = files.slice(at, at + pageMax);
    yield { files: page.map(({ path, sizeBytes, hash }) => ({ path, size: BigInt(sizeBytes), hash: hash ?? '' })) };
  }
}

async function* listFiles(ports: ArchivePorts, request: ListFilesRequest, facts: CallFacts): AsyncGenerator<FilesPage> {
  const filter = orThrow(readFilter(request.include, request.exclude));
  const selection = orThrow(readSelection(request.selector, facts.caller.name));
  await facts.pass.about({ namespace: selection.namespace });
  const foreign = await foreignJobs(ports.layout, selection);
  if (foreign && !(await isKnown(ports, request, facts))) {
    const head = { batchId: writeForeignId(selection), namespace: selection.namespace, batch: selection.batch };
    for (const { job, folder } of foreign) yield* pagesOf(head, job, folder, filter);
    return;
  }
  const batch = await findBatch(ports, request.selector, facts);
  await ports.publisher.readable(batch.batchId);
  const place = await placeOf(ports.layout, batch);
  const head = { batchId: batch.batchId, namespace: batch.namespace, batch: batch.name };
  let kept = 0;
  for await (const jobs of findJobs(ports, batch.batchId, batch.selection)) {
    for (const { name } of jobs) {
      const folder = ports.layout.jobFolder(place, name);
      if (kept === 0 && (await isThere(folder))) kept += 1;
      yield* pagesOf(head, name, folder, filter);
    }
  }
  if (kept === 0) await refuseDeleted(ports.engine, batch.batchId, `results of "${batch.namespace}/${batch.name}"`);
}

/** Whether a batch of ours is meant: those come first, directories of others only where nothing else fits. */
async function isKnown(ports: ArchivePorts, request: ListFilesRequest, facts: CallFacts): Promise<boolean> {
  try {
    await findBatch(ports, request.selector, facts);
    return true;
  } catch (error) {
    if (error instanceof RefusedError && error.refusal.code === 'not-found') return false;
    throw error;
  }
}

async function* pagesOf(
  head: { readonly batchId: string; readonly namespace: string; readonly batch: string },
  job: string,
  folder: string,
  wanted: FileFilter,
): AsyncGenerator<FilesPage> {
  let files: ArchivedFile[] = [];
  for await (const entry of treeEntries(folder)) {
    const { path, mode, hash, linkTarget, sizeBytes, modifiedAtMs } = entry;
    if (!wanted([head.batch, job, path].filter((part) => part !== '').join('/'))) continue;
    const kind = { file: ArchivedFileKind.FILE, folder: ArchivedFileKind.FOLDER, link: ArchivedFileKind.LINK }[
      entry.kind
    ];
    files.push({
      job,
      path,
      kind,
      size: BigInt(sizeBytes),
      mode,
      hash,
      linkTarget,
      modifiedAtMs: BigInt(modifiedAtMs),
    });
    if (files.length < pageMax) continue;
    yield { ...head, files };
    files = [];
  }
  if (files.length > 0) yield { ...head, files };
}

async function* readFiles(
  ports: ArchivePorts,
  requests: AsyncIterable<ReadFilesRequest>,
  pass: Pass,
): AsyncGenerator<FileChunk> {
  let file = 0;
  for await (const { batchId, files } of requests) {
    const { namespace, folder } = await folderOf(ports, batchId);
    await pass.about({ namespace });
    for (const { job, path, offset } of files) {
      const problem = job === '' ? undefined : nameProblem(job);
      if (problem) throw new RefusedError(refused('invalid', `Cannot read from the job "${job}": the name ${problem}`));
      let at = readOffset(offset);
      if (at === undefined)
        throw new RefusedError(refused('invalid', `Cannot read "${path}" from ${offset}: no file is that long`));
      const handle = await openBelow(folder, job === '' ? path : `${job}/${path}`);
      for await (const chunk of readFrom(handle, at)) {
        at = chunk.offset + chunk.data.length;
        yield { file, offset: BigInt(chunk.offset), data: chunk.data, last: false };
      }
      yield { file, offset: BigInt(at), data: Buffer.alloc(0), last: true };
      file += 1;
    }
  }
}

async function folderOf(ports: ArchivePorts, id: string): Promise<{ namespace: string; folder: string }> {
  const foreign = readForeignId(ports.layout, id);
  if (foreign) return foreign;
  const batchId = asBatchId(id);
  const batch = await ports.engine.query((state) => {
    const found = batchId && knownBatch(state, batchId);
    return found && { batchId: found.id, namespace: found.namespace, name: found.name };
  });
  if (!batch) throw new RefusedError(refused('not-found', `Cannot read files: there is no batch "${id}"`));
  return { namespace: batch.namespace, folder: ports.layout.batchFolder(await placeOf(ports.layout, batch)) };
}
