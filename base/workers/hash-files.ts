import { closeSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { WorkerAnswer, WorkerQuestion } from '../asked-worker.ts';
import { assert } from '../assert.ts';
import { isSystemError, messageOf } from '../errors.ts';
import { startHash } from '../transfer/hash.ts';
import { type KeptFile, openKeptNow } from '../transfer/open-kept.ts';

/** What the worker is asked: hash these files. */
export interface HashQuestion {
  readonly files: readonly FileToHash[];
}

/** A file, and how long it was when it was looked at. */
export interface FileToHash extends KeptFile {
  readonly sizeBytes: number;
}

/** A hash, or why there is none; `exhausted` when that says nothing of the file: the machine has no more of something. */
export type HashResult = { readonly hash: string } | { readonly error: string; readonly exhausted: boolean };

/**
 * Hashes files away from the main thread, so that a 3 GiB archive delays no heartbeat. It reads synchronously: nothing
 * else waits in this thread, and awaiting each of thousands of small files takes three times as long.
 */
assert(parentPort, 'this file is a worker');
const port = parentPort;
const buffer = Buffer.allocUnsafe(2 ** 20);
port.on('message', ({ id, files }: WorkerQuestion<HashQuestion>) => {
  const answer: WorkerAnswer<HashResult> = { id, results: files.map(hashOne) };
  port.postMessage(answer);
});

function hashOne(file: FileToHash): HashResult {
  try {
    const { fd, facts } = openKeptNow(file);
    try {
      if (facts.size !== file.sizeBytes) return unreadable('it changed while it was looked at');
      const hash = startHash();
      let left = file.sizeBytes; // never more: someone may append without end
      while (left > 0) {
        const count = readSync(fd, buffer, 0, Math.min(buffer.length, left), null);
        if (count === 0) return unreadable('it became shorter while it was read');
        hash.update(buffer.subarray(0, count));
        left -= count;
      }
      return { hash: hash.digest() };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { error: messageOf(error), exhausted: isSystemError(error, 'EMFILE', 'ENFILE', 'ENOMEM') };
  }
}

function unreadable(error: string): HashResult {
  return { error, exhausted: false };
}
