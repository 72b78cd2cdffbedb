import { AskedWorker } from '../../base/asked-worker.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { Together } from '../../base/together.ts';
import type {
  FileToKeep,
  FileToWrite,
  StageQuestion,
  StageResult,
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

/** Brings small files to the disk in a worker. Callers bound how many they write at once. */
export class StageWriter implements StageFiles {
  readonly #worker = new AskedWorker<StageQuestion, StageResult>('stage-files', goneError);
  readonly #writes = new Together<FileToWrite, StageResult>((files) => this.#worker.ask({ kind: 'write', files }));

  async write(path: string, data: Uint8Array): Promise<void> {
    // A copy: what came from the wire is a small view of a large buffer, and the worker would be sent all of that.
    const trouble = await this.#writes.ask({ path, data: new Uint8Array(data) });
    if (trouble) throw systemError(trouble);
  }

  async keep(files: readonly FileToKeep[]): Promise<void> {
    for (let at = 0; at < files.length; at += keepMax) {
      const results = await this.#worker.ask({ kind: 'keep', files: files.slice(at, at + keepMax) });
      for (const trouble of results) if (trouble) throw systemError(trouble);
    }
  }

  /** Ends the worker; whoever still waits is told to try again. */
  async close(): Promise<void> {
    await this.#worker.close();
  }
}

/** It ends when the head stops, and cannot start without descriptors or memory: that passes, and says nothing of the disk. */
function goneError(why: string): RefusedError {
  const message = `Cannot write files of an archive: the worker that does is gone (${why}); try again`;
  return new RefusedError(refused('busy', message));
}

function systemError({ code, message }: StageTrouble): Error {
  return Object.assign(new Error(message), { code });
}
