import { Worker } from 'node:worker_threads';
import { assert } from '../../base/assert.ts';
import { workerFile } from '../../base/assets.ts';
import { type Deferred, deferred } from '../../base/deferred.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import type { KeptFile } from '../../base/transfer/open-kept.ts';
import type { FileToRead, ReadAnswer, ReadRequest, ReadResult } from '../../base/workers/read-files.ts';

/** Files up to this size are read in the worker, in bytes. */
export const smallFileMaxBytes = 64 * 2 ** 10;

/**
 * Reads small files of jobs in a worker, which the first of them starts. One message is under way at a time; what is asked for meanwhile
 * goes together in the next. Callers bound how much that is.
 */
export class SmallFiles {
  readonly #asked = new Map<number, Deferred<readonly ReadResult[]>>();
  #waiting: { readonly file: FileToRead; readonly done: Deferred<Buffer> }[] = [];
  #reading: Promise<void> | undefined;
  #worker: Worker | undefined;
  #lastId = 0;

  /** The first `sizeBytes` of a file, or less when it has become shorter. Rejects like `openKept`. */
  read({ path, owner }: KeptFile, sizeBytes: number): Promise<Buffer> {
    const done = deferred<Buffer>();
    this.#waiting.push({ file: { path, owner, sizeBytes }, done });
    this.#reading ??= this.#readAll();
    return done.promise;
  }

  /** Ends the worker; whoever still waits is told. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  async #readAll(): Promise<void> {
    await Promise.resolve(); // whoever else reads in this turn goes along
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      try {
        const results = await this.#ask(group.map(({ file }) => file));
        for (const [at, { done }] of group.entries()) settle(done, results[at]);
      } catch (error) {
        for (const { done } of group) done.reject(error);
      }
    }
    this.#reading = undefined;
  }

  #ask(files: readonly FileToRead[]): Promise<readonly ReadResult[]> {
    const request: ReadRequest = { id: ++this.#lastId, files };
    const answer = deferred<readonly ReadResult[]>();
    this.#asked.set(request.id, answer);
    this.#worker ??= this.#start();
    this.#worker.postMessage(request);
    return answer.promise;
  }

  #start(): Worker {
    const worker = new Worker(workerFile('read-files'));
    worker.unref();
    worker.on('message', ({ id, results }: ReadAnswer) => {
      this.#asked.get(id)?.resolve(results);
      this.#asked.delete(id);
    });
    worker.on('error', (error) => this.#fail(worker, messageOf(error)));
    worker.on('exit', (code) => this.#fail(worker, `it ended with ${code}`));
    return worker;
  }

  #fail(worker: Worker, why: string): void {
    if (this.#worker === worker) this.#worker = undefined; // the next request starts another
    // That says nothing about the files: they are asked for again.
    const error = new Fault('no-room', `the worker that reads small files is gone: ${why}`);
    for (const answer of this.#asked.values()) answer.reject(error);
    this.#asked.clear();
  }
}

function settle(done: Deferred<Buffer>, result: ReadResult | undefined): void {
  assert(result, 'the worker answers for every file');
  if ('data' in result) done.resolve(Buffer.from(result.data.buffer, result.data.byteOffset, result.data.length));
  else if (result.isFault) done.reject(new Fault(result.code, result.message));
  else done.reject(Object.assign(new Error(result.message), { code: result.code }));
}
