import { rm } from 'node:fs/promises';
import { AskedWorker } from '../../base/asked-worker.ts';
import { assert } from '../../base/assert.ts';
import { Fault } from '../../base/errors.ts';
import type { Tree, TreeResult } from '../../base/transfer/tree.ts';
import type { TreeQuestion } from '../../base/workers/write-trees.ts';

/** Writes small trees in a worker. Callers bound how many they ask for at once. */
export class TreeWriter {
  readonly #worker = new AskedWorker<TreeQuestion, TreeResult>(
    'write-trees',
    (why) => new Fault('tree-writer', `Cannot write a job's archive: the worker that does is gone (${why})`),
  );

  /** Resolves with one result per tree, in order. Rejects with `Fault` (`tree-writer`) when the worker went meanwhile: ask again. */
  async write(trees: readonly Tree[]): Promise<readonly TreeResult[]> {
    const results = await this.#worker.ask({ trees });
    assert(results.length === trees.length, 'the writer answers for every tree');
    return results;
  }

  /** Removes a tree that was made aside and did not find its place. */
  async discard(temporary: string): Promise<void> {
    await rm(temporary, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.#worker.close();
  }
}
