import { lstat, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, isSystemError, RefusedError } from '../../base/errors.ts';
import { chunksOf, hashKept } from '../../base/transfer/chunk.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';
import { type ManifestEntry, readManifest } from '../../base/transfer/manifest.ts';
import type { Outcome } from '../scheduler/event.ts';
import { failureReasons } from '../scheduler/state.ts';
import { ownFolder } from './layout.ts';

/** What a job's folder says of the attempt that it holds. */
export interface KeptResult {
  readonly job: string;
  readonly index: number;
  readonly attempt: number;
  readonly node: string;
  readonly outcome: Outcome;
  readonly manifestHash: ContentHash;
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number;
  readonly pausedMs: number;
  /** Its job was to run again after it, or may have been: folders of earlier versions do not say. */
  readonly requeued: boolean;
}

/** A `meta.json` that is longer is none of ours, in bytes. */
const metaMaxBytes = 2 ** 20;
/**
 * Archives of so many bytes are read whole. Small ones travel in the log and are written without waiting for the disk;
 * what a power cut may have left of large ones was on the disk before they were accepted.
 */
const readMaxBytes = 2 ** 20;

/** What the folder holds; nothing where there is none, or labrun did not write it. */
export async function readResult(jobFolder: string): Promise<KeptResult | undefined> {
  const path = join(jobFolder, ownFolder, 'meta.json');
  try {
    if ((await stat(path)).size > metaMaxBytes) return undefined;
    return resultOf({ ...Object(JSON.parse(await readFile(path, 'utf8'))) });
  } catch (error) {
    if (error instanceof SyntaxError || isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return undefined;
    throw error;
  }
}

/** Whether all that the manifest lists is there, and it is the manifest of this result. */
export async function isWhole(jobFolder: string, { manifestHash }: KeptResult): Promise<boolean> {
  const path = join(jobFolder, ownFolder, 'manifest');
  try {
    if ((await hashKept({ path }, (await stat(path)).size)) !== manifestHash) return false;
    const files: Extract<ManifestEntry, { kind: 'file' }>[] = [];
    let bytes = 0;
    for await (const entry of readManifest(bytesOf(path))) {
      const facts = await lstat(join(jobFolder, entry.path));
      if (entry.kind === 'folder' ? !facts.isDirectory() : entry.kind === 'link' ? !facts.isSymbolicLink() : false)
        return false;
      if (entry.kind !== 'file') continue;
      if (!facts.isFile() || facts.size !== entry.sizeBytes) return false;
      bytes += entry.sizeBytes;
      if (bytes <= readMaxBytes) files.push(entry);
    }
    if (bytes > readMaxBytes) return true;
    for (const { path: at, sizeBytes, hash } of files)
      if ((await hashKept({ path: join(jobFolder, at) }, sizeBytes)) !== hash) return false;
    return true;
  } catch (error) {
    if (error instanceof RefusedError || error instanceof Fault) return false;
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return false;
    throw error;
  }
}

function resultOf(meta: Readonly<Record<string, unknown>>): KeptResult | undefined {
  const { job, index, attempt, node, state, reason, message, exitCode, signal, ranMs, requeued } = meta;
  const manifestHash = asContentHash(String(meta['manifestHash']));
  const ended = (['succeeded', 'failed', 'cancelled'] as const).find((name) => name === state);
  const endedAtMs = timeOf(meta['finishedAt']);
  if (typeof job !== 'string' || typeof node !== 'string' || !ended || !manifestHash) return undefined;
  if (!isCount(index) || !isCount(attempt) || attempt < 1 || endedAtMs === undefined) return undefined;
  const outcome: Outcome = {
    state: ended,
    reason: failureReasons.find((known) => known === reason),
    message: typeof message === 'string' ? message : '',
    exitCode: isCount(exitCode) ? exitCode : undefined,
    signal: isCount(signal) ? signal : undefined,
    ranMs: isCount(ranMs) ? ranMs : 0,
  };
  return {
    ...{ job, index, attempt, node, outcome, manifestHash, endedAtMs },
    startedAtMs: timeOf(meta['startedAt']),
    pausedMs: isCount(meta['pausedMs']) ? meta['pausedMs'] : 0,
    requeued: typeof requeued === 'boolean' ? requeued : ended !== 'succeeded',
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function timeOf(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of chunksOf(path, 0)) yield data;
}
