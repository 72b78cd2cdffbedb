import { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/assets.ts';
import { type Deferred, deferred } from '../../base/deferred.ts';
import { messageOf, RefusedError, refused } from '../../base/errors.ts';
import type {
  FileToKeep,
  FileToWrite,
  StageAnswer,
  StageRequest,
  StageTrouble,
} from '../../base/workers/stage-files.ts';

/** How small files of archives come to the disk. */
export interface StageFiles {
  /** Writes a file as a whole, and makes its folder when it is not there. Rejects with the system's error, or "busy". */
  write(path: string, data: Uint8Array): Promise<void>;
  /** Gives files their modes and brings their content to the disk. Rejects with the first error of the system, or "busy". */
  keep(files: readonly FileToKeep[]): Promise<void>;
}

/** Files to be kept that travel to the worker in one message. */
const keepMax = 256;

/**
 * Brings small files to the disk in a worker, which the first of them starts. One message with files to write is under way at a time;
 * what comes meanwhile goes together in the next. Callers bound how much that is.
 */
export class StageWriter implements StageFiles {
  readonly #asked = new Map<number, Deferred<StageAnswer['results']>>();
  #waiting: { readonly file: FileToWrite; readonly done: Deferred<void> }[] = [];
  #writing: Promise<void> | undefined;
  #worker: Worker | undefined;
  #lastId = 0;

  write(path: string, data: Uint8Array): Promise<void> {
    const done = deferred<void>();
    // A copy: what came from the wire is a small view of a large buffer, and the worker would be sent all of that.
    this.#waiting.push({ file: { path, data: new Uint8Array(data) }, done });
    this.#writing ??= this.#writeAll();
    return done.promise;
  }

  async keep(files: readonly FileToKeep[]): Promise<void> {
    for (let at = 0; at < files.length; at += keepMax) {
      const results = await this.#ask({ kind: 'keep', id: ++this.#lastId, files: files.slice(at, at + keepMax) });
      for (const trouble of results) if (trouble) throw systemError(trouble);
    }
  }

  /** Ends the worker; nobody waits for it any more. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  async #writeAll(): Promise<void> {
    await Promise.resolve(); // whoever else writes in this turn goes along
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      try {
        const results = await this.#ask({ kind: 'write', id: ++this.#lastId, files: group.map(({ file }) => file) });
        for (const [at, { done }] of group.entries()) {
          const trouble = results[at];
          if (trouble) done.reject(systemError(trouble));
          else done.resolve();
        }
      } catch (error) {
        for (const { done } of group) done.reject(error);
      }
    }
    this.#writing = undefined;
  }

  #ask(request: StageRequest): Promise<StageAnswer['results']> {
    const answer = deferred<StageAnswer['results']>();
    this.#asked.set(request.id, answer);
    this.#worker ??= this.#start();
    this.#worker.postMessage(request);
    return answer.promise;
  }

  #start(): Worker {
    const worker = new Worker(workerFile('stage-files'));
    worker.unref();
    worker.on('message', ({ id, results }: StageAnswer) => {
      this.#asked.get(id)?.resolve(results);
      this.#asked.delete(id);
    });
    worker.on('error', (error) => this.#fail(worker, messageOf(error)));
    worker.on('exit', (code) => this.#fail(worker, `it ended with ${code}`));
    return worker;
  }

  #fail(worker: Worker, why: string): void {
    if (this.#worker === worker) this.#worker = undefined; // the next request starts another
    // It ends when the head stops, and cannot start without descriptors or memory: that passes, and says nothing of the disk.
    const problem = refused(
      'busy',
      `Cannot write files of an archive: the worker that does is gone (${why}); try again`,
    );
    const error = new RefusedError(problem);
    for (const answer of this.#asked.values()) answer.reject(error);
    this.#asked.clear();
  }
}

function systemError({ code, message }: StageTrouble): Error {
  return Object.assign(new Error(message), { code });
}
