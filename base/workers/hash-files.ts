import { closeSync, constants, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { assert } from '../assert.ts';
import { messageOf } from '../errors.ts';
import { startHash } from '../transfer/hash.ts';

/** What the worker is asked: hash these files. */
export interface HashRequest {
  readonly id: number;
  readonly paths: readonly string[];
}

/** Its answer: a result for each path, in their order. */
export interface HashAnswer {
  readonly id: number;
  readonly results: readonly ({ readonly hash: string } | { readonly error: string })[];
}

/**
 * Hashes files away from the main thread, so that a 3 GiB archive delays no heartbeat. It reads synchronously: nothing
 * else waits in this thread, and awaiting each of thousands of small files takes three times as long.
 */
assert(parentPort, 'this file is a worker');
const port = parentPort;
const buffer = Buffer.allocUnsafe(2 ** 20);
port.on('message', ({ id, paths }: HashRequest) => {
  const answer: HashAnswer = { id, results: paths.map(hashOne) };
  port.postMessage(answer);
});

function hashOne(path: string): { hash: string } | { error: string } {
  try {
    // A link where a file was is refused: it could lead out of the attempt. A FIFO must not be waited for.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const hash = startHash();
      for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer)) {
        hash.update(buffer.subarray(0, count));
      }
      return { hash: hash.digest() };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { error: messageOf(error) };
  }
}
