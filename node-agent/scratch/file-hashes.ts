import { AskedWorker } from '../../base/asked-worker.ts';
import { Fault } from '../../base/errors.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';
import type { FileToHash, HashQuestion, HashResult } from '../../base/workers/hash-files.ts';

/** Files that travel to the worker in one message. */
const batchMax = 256;

/** Hashes files in a worker thread, so that a 3 GiB archive delays no heartbeat. Files are opened by `openKept`. */
export class FileHashes {
  // That it is gone says nothing about the files: they are asked for again.
  readonly #worker = new AskedWorker<HashQuestion, HashResult>(
    'hash-files',
    (why) => new Fault('no-room', `the worker that hashes files is gone: ${why}`),
  );

  /** The hashes in the order of the files. Where a file could not be read there is a `Fault` (`unreadable`) instead. Rejects with
   * `Fault` (`no-room`) when the machine is out of descriptors or memory, or the worker went, which is nothing that the files could help. */
  async of(files: readonly FileToHash[]): Promise<readonly (ContentHash | Fault)[]> {
    const hashes: (ContentHash | Fault)[] = [];
    for (let at = 0; at < files.length; at += batchMax) {
      for (const result of await this.#worker.ask({ files: files.slice(at, at + batchMax) })) {
        if ('error' in result && result.exhausted) {
          throw new Fault('no-room', `the agent is out of something: ${result.error}`);
        }
        hashes.push(readResult(result));
      }
    }
    return hashes;
  }

  async close(): Promise<void> {
    await this.#worker.close();
  }
}

function readResult(result: HashResult): ContentHash | Fault {
  const hash = 'hash' in result ? asContentHash(result.hash) : undefined;
  return hash ?? new Fault('unreadable', 'error' in result ? result.error : 'the worker gave no hash');
}
