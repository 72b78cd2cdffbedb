import { closeSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { WorkerAnswer, WorkerQuestion } from '../asked-worker.ts';
import { assert } from '../assert.ts';
import { Fault } from '../errors.ts';
import { type KeptFile, openKeptNow } from '../transfer/open-kept.ts';

/** What the worker is asked: read these files as a whole. */
export interface ReadQuestion {
  readonly files: readonly FileToRead[];
}

/** A small file, and how much of it is wanted. */
export interface FileToRead extends KeptFile {
  readonly sizeBytes: number;
}

/** What a file held, or why it could not be read; `isFault` tells `openKept`'s own word from the system's. */
export type ReadResult =
  | { readonly data: Uint8Array }
  | { readonly code: string; readonly message: string; readonly isFault: boolean };

/**
 * Reads small files of jobs away from the main thread, with synchronous calls: handing each to a thread of the pool costs ten times what
 * the call itself does.
 */
assert(parentPort, 'this file is a worker');
const port = parentPort;
port.on('message', ({ id, files }: WorkerQuestion<ReadQuestion>) => {
  const answer: WorkerAnswer<ReadResult> = { id, results: files.map(read) };
  port.postMessage(answer);
});

function read(file: FileToRead): ReadResult {
  try {
    const { fd } = openKeptNow(file);
    try {
      const data = new Uint8Array(file.sizeBytes);
      let length = 0;
      while (length < data.length) {
        const count = readSync(fd, data, length, data.length - length, length);
        if (count === 0) return { data: data.slice(0, length) };
        length += count;
      }
      return { data };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const code = 'code' in error ? String(error.code) : '';
    return { code, message: error.message, isFault: error instanceof Fault };
  }
}
