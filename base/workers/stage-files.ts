import { closeSync, fchmodSync, fdatasync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { parentPort } from 'node:worker_threads';
import type { WorkerAnswer, WorkerQuestion } from '../asked-worker.ts';
import { assert } from '../assert.ts';
import { atOnce } from '../at-once.ts';
import { isSystemError } from '../errors.ts';
import { makeFolderSync } from '../make-folder.ts';

/** What the worker is asked: write these files anew, or give these their modes and bring them to the disk. */
export type StageQuestion =
  | { readonly kind: 'write'; readonly files: readonly FileToWrite[] }
  | { readonly kind: 'keep'; readonly files: readonly FileToKeep[] };

/** A small file as a whole. Its folder is made when it is not there. */
export interface FileToWrite {
  readonly path: string;
  readonly data: Uint8Array;
}

/** A file that is written; nothing as `mode` leaves the one it has. */
export interface FileToKeep {
  readonly path: string;
  readonly mode: number | undefined;
}

/** What became of a file: nothing to tell, or what the system said. */
export type StageResult = StageTrouble | undefined;

/** An error of the system in its own words. */
export interface StageTrouble {
  readonly code: string;
  readonly message: string;
}

/** Disk flushes at once: they share the journal's commits. */
const syncsAtOnce = 32;

/**
 * Writes small files of archives away from the main thread, with synchronous calls: handing each call to a thread of the pool costs ten
 * times what the call itself does. Only flushes are waited for together.
 */
assert(parentPort, 'this file is a worker');
const port = parentPort;
const flush = promisify(fdatasync);
port.on('message', (request: WorkerQuestion<StageQuestion>) => {
  if (request.kind === 'write') answer(request.id, request.files.map(write));
  else void keepAll(request.id, request.files); // it catches what the system says of each
});

function answer(id: number, results: readonly StageResult[]): void {
  const message: WorkerAnswer<StageResult> = { id, results };
  port.postMessage(message);
}

function write({ path, data }: FileToWrite): StageResult {
  try {
    const fd = openMaking(path);
    try {
      for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at, at);
    } finally {
      closeSync(fd);
    }
    return undefined;
  } catch (error) {
    return troubleOf(error);
  }
}

function openMaking(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
    makeFolderSync(dirname(path));
    return openSync(path, 'w', 0o600);
  }
}

async function keepAll(id: number, files: readonly FileToKeep[]): Promise<void> {
  const results: StageResult[] = Array.from(files, () => undefined);
  await atOnce(syncsAtOnce, files.entries(), async ([at, file]) => {
    results[at] = await keep(file);
  });
  answer(id, results);
}

async function keep({ path, mode }: FileToKeep): Promise<StageResult> {
  try {
    const fd = openSync(path, 'r');
    try {
      if (mode !== undefined) fchmodSync(fd, mode);
      await flush(fd);
    } finally {
      closeSync(fd);
    }
    return undefined;
  } catch (error) {
    return troubleOf(error);
  }
}

function troubleOf(error: unknown): StageTrouble {
  if (!(error instanceof Error)) throw error;
  return { code: 'code' in error ? String(error.code) : '', message: error.message };
}
