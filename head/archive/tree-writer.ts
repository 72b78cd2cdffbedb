import { rm } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { assert } from '../../base/assert.ts';
import { workerFile } from '../../base/assets.ts';
import type { Tree, TreeResult } from '../../base/transfer/tree.ts';

interface Answer {
  readonly id: number;
  readonly results: readonly TreeResult[];
}

/** Writes small trees in a worker. Callers bound how many they ask for at once. */
export class TreeWriter {
  readonly #worker = new Worker(workerFile('write-trees'));
  readonly #waiting = new Map<number, { resolve(results: readonly TreeResult[]): void; reject(error: Error): void }>();
  #lastId = 0;
  #failure: Error | undefined;

  constructor() {
    this.#worker.on('message', ({ id, results }: Answer) => {
      this.#waiting.get(id)?.resolve(results);
      this.#waiting.delete(id);
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the tree writer has ended')));
    // Only waiting work keeps the process alive; whoever waits closes the writer in the end.
    this.#worker.unref();
  }

  /** Resolves with one result per tree, in order. */
  write(trees: readonly Tree[]): Promise<readonly TreeResult[]> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        resolve: (results) => {
          assert(results.length === trees.length, 'the writer answers for every tree');
          resolve(results);
        },
        reject,
      });
      this.#worker.postMessage({ id, trees });
    });
  }

  /** Removes a tree that was made aside and did not find its place. */
  async discard(temporary: string): Promise<void> {
    await rm(temporary, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
