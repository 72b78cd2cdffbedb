import { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/assets.ts';
import { type Deferred, deferred } from '../../base/deferred.ts';
import { Fault } from '../../base/errors.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';
import type { FileToHash, HashAnswer, HashRequest } from '../../base/workers/hash-files.ts';

/** Files that travel to the worker in one message. */
const batchMax = 256;

/**
 * Hashes files in a worker thread, so that a 3 GiB archive delays no heartbeat. The worker is started by the first
 * request. Files are opened by `openKept`.
 */
export class FileHashes {
  readonly #waiting = new Map<number, Deferred<readonly (ContentHash | Fault)[]>>();
  #worker: Worker | undefined;
  #asked = 0;

  /** The hashes in the order of the files. Where a file could not be read there is a `Fault` (`unreadable`) instead. Rejects with
   * `Fault` (`no-room`) when the machine is out of descriptors or memory, which is nothing that the files could help. */
  async of(files: readonly FileToHash[]): Promise<readonly (ContentHash | Fault)[]> {
    const hashes: (ContentHash | Fault)[] = [];
    for (let at = 0; at < files.length; at += batchMax) {
      for (const hash of await this.#ask(files.slice(at, at + batchMax))) hashes.push(hash);
    }
    return hashes;
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #ask(files: readonly FileToHash[]): Promise<readonly (ContentHash | Fault)[]> {
    const id = this.#asked++;
    const answer = deferred<readonly (ContentHash | Fault)[]>();
    this.#waiting.set(id, answer);
    this.#worker ??= this.#start();
    const request: HashRequest = { id, files };
    this.#worker.postMessage(request);
    return answer.promise;
  }

  #start(): Worker {
    const worker = new Worker(workerFile('hash-files'));
    worker.unref();
    worker.on('message', ({ id, results }: HashAnswer) => {
      const answer = this.#waiting.get(id);
      this.#waiting.delete(id);
      const exhausted = results.find((result) => 'exhausted' in result && result.exhausted);
      if (exhausted && 'error' in exhausted) {
        answer?.reject(new Fault('no-room', `the agent is out of something: ${exhausted.error}`));
      } else answer?.resolve(results.map(readResult));
    });
    worker.on('error', (error) => this.#fail(worker, error));
    worker.on('exit', (code) => this.#fail(worker, new Fault('hash-worker', `The hashing worker ended with ${code}`)));
    return worker;
  }

  #fail(worker: Worker, error: unknown): void {
    if (this.#worker === worker) this.#worker = undefined; // the next request starts another
    for (const answer of this.#waiting.values()) answer.reject(error);
    this.#waiting.clear();
  }
}

function readResult(result: HashAnswer['results'][number]): ContentHash | Fault {
  const hash = 'hash' in result ? asContentHash(result.hash) : undefined;
  return hash ?? new Fault('unreadable', 'error' in result ? result.error : 'the worker gave no hash');
}
