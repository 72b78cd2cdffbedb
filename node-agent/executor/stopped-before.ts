import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { withSpares } from '../../base/spare-descriptors.ts';
import { readWords } from './small-file.ts';

/** A process, and no later one with its id. */
export interface ProcessKey {
  readonly pid: number;
  readonly startTicks: number;
}

/** Most processes that are remembered as stopped by their job; those past it go on with the rest. */
const keptMax = 400;

/**
 * Whom of a tree the job itself had stopped before we stopped the rest, as kept in the supervisor's folder. That the file
 * is there says that we have stopped the tree, to a later agent, too. It need not outlive the machine, so it is not synced.
 */
export class StoppedBefore {
  readonly #path: string;

  constructor(supervisorFolder: string) {
    this.#path = join(supervisorFolder, 'stopped');
  }

  /** Keys as `keyOf` makes them; nothing when the tree was not stopped. */
  read(): ReadonlySet<string> | undefined {
    const words = readWords(this.#path);
    return words === undefined ? undefined : new Set(words.split('\n').filter(Boolean));
  }

  write(keys: readonly string[]): void {
    // Whoever reads finds all of it or nothing.
    const fresh = `${this.#path}.new`;
    const text = keys
      .slice(0, keptMax)
      .map((key) => `${key}\n`)
      .join('');
    try {
      withSpares(() => writeFileSync(fresh, text));
    } catch (error) {
      if (!isSystemError(error, 'ENOSPC', 'EDQUOT')) throw error;
      // That the tree stands still matters more than who did before: on a full disk there is room for a name.
      withSpares(() => writeFileSync(fresh, ''));
    }
    renameSync(fresh, this.#path);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

/** One word for a process. */
export function keyOf({ pid, startTicks }: ProcessKey): string {
  return `${pid}.${startTicks}`;
}
