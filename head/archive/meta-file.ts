import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import type { LogRecord, Outcome } from '../scheduler/event.ts';
import type { NamedJob } from '../specs.ts';
import { ownFolder } from './layout.ts';

/** An attempt that was accepted, with all that its `meta.json` says. */
export interface AcceptedAttempt {
  readonly record: LogRecord;
  readonly index: number;
  readonly attempt: number;
  /** The highest number that the log has given to an attempt of its job. */
  readonly lastGiven: number;
  readonly job: NamedJob;
  readonly node: string;
  readonly outcome: Outcome;
  readonly manifestHash: string;
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number;
  readonly pausedMs: number;
  /** Its job runs again after it. */
  readonly requeued: boolean;
}

/** What a job's folder says about itself, for people and scripts. */
export function metaText(accepted: AcceptedAttempt, versions: Readonly<Record<string, string>>): string {
  const { job, index, attempt, node, outcome, manifestHash, startedAtMs, endedAtMs, pausedMs, requeued } = accepted;
  const meta = {
    job: job.name,
    index,
    attempt,
    params: job.params,
    node,
    state: outcome.state,
    reason: outcome.reason ?? null,
    message: outcome.message,
    exitCode: outcome.exitCode ?? null,
    signal: outcome.signal ?? null,
    startedAt: startedAtMs === undefined ? null : new Date(startedAtMs).toISOString(),
    finishedAt: new Date(endedAtMs).toISOString(),
    ranMs: outcome.ranMs,
    pausedMs,
    requeued,
    manifestHash,
    versions,
  };
  return `${JSON.stringify(meta, null, 2)}\n`;
}

/** Which attempt a job's folder holds: `none` there is no folder, `foreign` labrun did not write it. */
export async function attemptIn(jobFolder: string): Promise<number | 'none' | 'foreign'> {
  let text: string;
  try {
    text = await readFile(join(jobFolder, ownFolder, 'meta.json'), 'utf8');
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
    return (await isThere(jobFolder)) ? 'foreign' : 'none';
  }
  const match = /^\s*"attempt": (\d+),?$/m.exec(text);
  return match ? Number(match[1]) : 'foreign';
}

/** Which archive a job's folder holds, by its manifest's hash; nothing where labrun did not write it. */
export async function manifestIn(jobFolder: string): Promise<string | undefined> {
  const text = await readFile(join(jobFolder, ownFolder, 'meta.json'), 'utf8');
  return /^\s*"manifestHash": "(blake3:[0-9a-f]+)",?$/m.exec(text)?.[1];
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
