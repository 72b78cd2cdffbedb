import { stat } from 'node:fs/promises';
import { isSystemError } from '../../base/errors.ts';
import { diskTrouble } from './durable.ts';
import { type Piece, StagedFile, type Taken } from './staged-file.ts';

/** Logs of builds, which go straight to their place: a build is no attempt, and its log is wanted while it runs. */
export class BuildLogs {
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #listeners = new Map<string, Set<() => void>>();

  /** Takes a piece of the log at `path`. Throws `RefusedError` "disk-full" or a `Fault`. */
  async take(path: string, piece: Piece): Promise<Taken> {
    const act = async () => {
      try {
        // As it is on the disk now: when a batch is replaced its logs move away with it, and others begin under their names.
        const file = new StagedFile(path, await sizeOf(path));
        return await file.take(piece).finally(() => file.close());
      } catch (error) {
        throw diskTrouble(error, 'take the log of a build');
      }
    };
    const before = this.#turns.get(path);
    const turn = before === undefined ? act() : before.then(act, act);
    this.#turns.set(path, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(path) === turn) this.#turns.delete(path);
      for (const listener of this.#listeners.get(path) ?? []) listener();
    }
  }

  /** Calls `listener` whenever the log at `path` grows, until the returned function is called. */
  onArrival(path: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(path) ?? new Set();
    this.#listeners.set(path, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(path);
    };
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 0;
    throw error;
  }
}
