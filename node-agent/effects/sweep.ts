import { lstatSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, isSystemError, messageOf, RefusedError } from '../../base/errors.ts';
import { chunksOfKept, hashKept } from '../../base/transfer/chunk.ts';
import { type ContentHash, hashBytes } from '../../base/transfer/hash.ts';
import { logPath, type ManifestEntry, manifestLine, stagedPathOf } from '../../base/transfer/manifest.ts';
import { formatBytes } from '../../config/units.ts';
import type { Ending, Finish, InlineArchive } from '../attempts/attempt.ts';
import { inlineMaxBytes } from '../attempts/limits.ts';
import { outcomeOf } from '../attempts/outcome.ts';
import type { Collected, CollectedFile, JobOrder, Workspace } from '../ports.ts';
import { isHollowLog } from '../scratch/unbacked.ts';
import { unkept } from '../scratch/walk.ts';
import type { ArchiveSender, FileToSend } from '../uplink/send-archive.ts';
import { lastLineOf } from './last-line.ts';

/** One ended attempt whose remains are to be kept. All its processes are dead. */
export interface Sweep {
  readonly workspace: Workspace;
  readonly order: JobOrder;
  readonly sender: ArchiveSender;
  readonly ending: Ending;
  readonly timeLimitMs: number;
  /** Whether any process of it ever ran; without one there is nothing to look at. */
  readonly started: boolean;
}

/**
 * Looks at everything the attempt left, brings what is not yet there to the head's staging, and says what to report.
 * Small archives stay here and travel inside the report. What cannot be kept makes the attempt fail, with its
 * log and all that can.
 */
export async function sweep(job: Sweep, signal: AbortSignal): Promise<Finish> {
  for (let looks = 1; ; looks++) {
    try {
      const collected = job.started ? await job.workspace.collect(job.order) : nothing;
      return await bringHome(job, collected, signal);
    } catch (error) {
      const problem = lastingProblem(error);
      if (problem === undefined || signal.aborted) throw error;
      // Somebody else wrote there, as on a disk that machines share: what is there now may stay as it is.
      if (error instanceof Fault && error.code === 'changed' && looks < looksMax) continue;
      return bringHome(job, { ...nothing, problems: [problem] }, signal);
    }
  }
}

/** How often all of it is looked at where files change after their job has ended. */
const looksMax = 3;
const nothing: Collected = { files: [], missing: [], problems: [] };

/** The first problem, and how many more there are. */
function problemText(problems: readonly string[]): string {
  const [first = '', ...more] = problems;
  return more.length === 0 ? first : `${first}; and ${more.length} more like it`;
}

async function bringHome(job: Sweep, collected: Collected, signal: AbortSignal): Promise<Finish> {
  const home = job.workspace.homeOf(job.order.id);
  const log = job.started ? await logOf(home) : undefined;
  const files = typeof log === 'object' ? [...collected.files, log] : collected.files;
  const problems = typeof log === 'string' ? [...collected.problems, log] : collected.problems;
  const manifest = Buffer.from(files.map((file) => manifestLine(entryOf(file))).join(''));
  const manifestHash = hashBytes(manifest);
  const wantsLine = job.started && !(job.ending.kind === 'exited' && job.ending.exitCode === 0);
  const outcome = outcomeOf(job.ending, {
    missing: collected.missing,
    lastLine: wantsLine && typeof log === 'object' ? await lastLineOf(join(home, 'log')) : '',
    timeLimitMs: job.timeLimitMs,
    limits: job.order.limits,
    archiveProblem: problemText(problems),
    // Nobody asks it of a job that did well, and most do.
    diskIsFull: wantsLine && (await isFull(home)),
  });
  const inline = await inlineOf(files, manifest);
  if (!inline) {
    const toSend = files.flatMap((file) => (file.hash === undefined ? [] : [{ ...sendable(file), hash: file.hash }]));
    await job.sender.send(toSend, signal);
    // From memory: a job that has filled the disk must not keep its own archive from leaving it.
    const facts = { source: manifest, sizeBytes: manifest.length, hash: manifestHash };
    await job.sender.sendOne({ path: 'manifest', ...facts }, signal);
  }
  return { outcome, manifestHash, inline };
}

/** Less free space than this is none: what a program or its log wanted to write is likely lost. */
const fullBelowBytes = 2 ** 20;

async function isFull(home: string): Promise<boolean> {
  try {
    const { bavail, bsize } = await statfs(home);
    return bavail * bsize < fullBelowBytes;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false; // which is told already
    throw error;
  }
}

/** The log as a file of the archive, or why it is none. What has become of it must not cost the results. */
async function logOf(home: string): Promise<CollectedFile | string> {
  const source = join(home, 'log');
  // Every job has a log, and a call that does not wait for a thread takes a tenth of the time.
  const facts = lstatSync(source, { throwIfNoEntry: false });
  // Each job that started has one: a job whose folder was removed under it must not pass for one that kept nothing.
  if (facts === undefined) return unkept(logPath, 'it is gone, and what else the job left may be, too');
  if (!facts.isFile()) return unkept(logPath, 'the job has put something else in its place');
  if (isHollowLog(facts)) return unkept(logPath, `it claims ${formatBytes(facts.size)} and holds next to nothing`);
  try {
    const hash = facts.size === 0 ? emptyHash : await hashKept({ path: source }, facts.size);
    return { path: logPath, kind: 'file', source, sizeBytes: facts.size, mode: 0o644, hash, linkTarget: undefined };
  } catch (error) {
    if (lastingProblem(error) === undefined) throw error;
    return unkept(logPath, `it cannot be read: ${messageOf(error)}`);
  }
}

const emptyHash: ContentHash = hashBytes('');

async function inlineOf(files: readonly CollectedFile[], manifest: Buffer): Promise<InlineArchive | undefined> {
  const contents = files.filter((file) => file.kind === 'file');
  const bytes = contents.reduce((sum, file) => sum + file.sizeBytes, manifest.length);
  if (bytes > inlineMaxBytes) return undefined;
  const read = contents.map(async (file) => ({ path: stagedPathOf(file.path), data: await bytesOf(file) }));
  return { manifest, files: await Promise.all(read) };
}

/** The whole of a small file, which must be what was hashed. */
async function bytesOf({ path, source, owner, sizeBytes, hash }: CollectedFile): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  if (sizeBytes > 0)
    for await (const { data } of chunksOfKept({ path: source, owner }, 0, sizeBytes)) chunks.push(data);
  const [first = Buffer.alloc(0)] = chunks;
  const data = chunks.length > 1 ? Buffer.concat(chunks) : first;
  if (hashBytes(data) !== hash) throw new Fault('changed', `Cannot archive "${path}": it changes while it is read`);
  return data;
}

function sendable(file: CollectedFile): Omit<FileToSend, 'hash'> {
  const source = { path: file.source, owner: file.owner };
  return { path: stagedPathOf(file.path), source, sizeBytes: file.sizeBytes };
}

function entryOf(file: CollectedFile): ManifestEntry {
  const { path, kind, mode } = file;
  if (kind === 'folder') return { kind, path, mode };
  if (kind === 'link') return { kind, path, target: file.linkTarget ?? '' };
  if (!file.hash) throw new Fault('archive-failed', `Cannot archive "${path}": it was not hashed`);
  return { kind, path, sizeBytes: file.sizeBytes, mode, hash: file.hash };
}

/** Why this archive can never be kept as it is; nothing for trouble that may pass (which others treat) and bugs. */
function lastingProblem(error: unknown): string | undefined {
  if (error instanceof RefusedError) return `the head does not take the archive: ${error.message}`;
  if (error instanceof Fault && error.code !== 'no-room') return messageOf(error);
  if (isSystemError(error, 'ENOENT', 'EACCES', 'EPERM', 'EIO', 'ELOOP', 'ENAMETOOLONG')) return messageOf(error);
  return undefined;
}
