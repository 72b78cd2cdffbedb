import { AskedWorker } from '../../base/asked-worker.ts';
import { Fault } from '../../base/errors.ts';
import { Together } from '../../base/together.ts';
import type { KeptFile } from '../../base/transfer/open-kept.ts';
import type { FileToRead, ReadQuestion, ReadResult } from '../../base/workers/read-files.ts';

/** Files up to this size are read in the worker, in bytes. */
export const smallFileMaxBytes = 64 * 2 ** 10;

/** Reads small files of jobs in a worker. Callers bound how many they ask for at once. */
export class SmallFiles {
  // That it is gone says nothing about the files: they are asked for again.
  readonly #worker = new AskedWorker<ReadQuestion, ReadResult>(
    'read-files',
    (why) => new Fault('no-room', `the worker that reads small files is gone: ${why}`),
  );
  readonly #reads = new Together<FileToRead, ReadResult>((files) => this.#worker.ask({ files }));

  /** The first `sizeBytes` of a file, or less when it has become shorter. Rejects like `openKept`. */
  async read({ path, owner }: KeptFile, sizeBytes: number): Promise<Buffer> {
    const result = await this.#reads.ask({ path, owner, sizeBytes });
    if ('data' in result) return Buffer.from(result.data.buffer, result.data.byteOffset, result.data.length);
    if (result.isFault) throw new Fault(result.code, result.message);
    throw Object.assign(new Error(result.message), { code: result.code });
  }

  /** Ends the worker; whoever still waits is told. */
  async close(): Promise<void> {
    await this.#worker.close();
  }
}
