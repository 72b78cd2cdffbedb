import { parentPort } from 'node:worker_threads';
import { assert } from '../assert.ts';
import { messageOf } from '../errors.ts';
import { hashFile } from '../transfer/hash.ts';

/** Hashes files away from the main thread, so that a 3 GiB archive delays no heartbeat. Asks and answers by number. */
assert(parentPort, 'this file is a worker');
const port = parentPort;
port.on('message', (request: { readonly id: number; readonly path: string }) => {
  hashFile(request.path).then(
    (hash) => port.postMessage({ id: request.id, hash }),
    (error: unknown) => port.postMessage({ id: request.id, error: messageOf(error) }),
  );
});
