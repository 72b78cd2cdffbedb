import { Worker } from 'node:worker_threads';
import { workerFile } from './assets.ts';
import { type Deferred, deferred } from './deferred.ts';
import { messageOf } from './errors.ts';

/** A question as it travels to a worker. */
export type WorkerQuestion<Question> = Question & { readonly id: number };

/** What the worker answers: results in the order of what was asked about. */
export interface WorkerAnswer<Result> {
  readonly id: number;
  readonly results: readonly Result[];
}

/**
 * A worker of `base/workers` and those who wait for its answers. The first question starts it; when it goes, whoever waits is told, and
 * the next question starts another. It keeps no process alive. Callers bound how much they ask at once.
 */
export class AskedWorker<Question extends object, Result> {
  readonly #name: string;
  readonly #goneError: (why: string) => Error;
  readonly #asked = new Map<number, Deferred<readonly Result[]>>();
  #worker: Worker | undefined;
  #lastId = 0;

  /** `goneError` is what a question rejects with when the worker went before it answered, or could not be started. */
  constructor(name: string, goneError: (why: string) => Error) {
    this.#name = name;
    this.#goneError = goneError;
  }

  ask(question: Question): Promise<readonly Result[]> {
    const answer = deferred<readonly Result[]>();
    const asked: WorkerQuestion<Question> = { ...question, id: ++this.#lastId };
    try {
      this.#worker ??= this.#start();
    } catch (error) {
      return Promise.reject(this.#goneError(messageOf(error))); // no descriptors or no memory for another thread
    }
    this.#asked.set(asked.id, answer);
    this.#worker.postMessage(asked);
    return answer.promise;
  }

  /** Ends the worker; whoever still waits is told. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(workerFile(this.#name));
    worker.unref();
    worker.on('message', ({ id, results }: WorkerAnswer<Result>) => {
      this.#asked.get(id)?.resolve(results);
      this.#asked.delete(id);
    });
    worker.on('error', (error) => this.#fail(worker, messageOf(error)));
    worker.on('exit', (code) => this.#fail(worker, `it ended with ${code}`));
    return worker;
  }

  #fail(worker: Worker, why: string): void {
    if (this.#worker !== worker) return; // `exit` comes after `error`: what is waited for by then is another's
    this.#worker = undefined;
    const error = this.#goneError(why);
    for (const answer of this.#asked.values()) answer.reject(error);
    this.#asked.clear();
  }
}
