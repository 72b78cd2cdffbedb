import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { withSpares } from '../../base/spare-descriptors.ts';
import { readWords } from './small-file.ts';

/** How a thread was before it was throttled. */
export interface ThreadBefore {
  readonly nice: number;
  /** Processors that it might use, as the kernel writes them ("0-3,8"). */
  readonly cpus: string;
}

/** How a tree was before it was throttled. */
export interface TreeBefore {
  /** Of its control group, in the kernel's own units; nothing where no group limits it. */
  readonly weight: string | undefined;
  /** The processors that it is held to now; nothing where its control group limits it. */
  readonly heldTo: string | undefined;
  /** Threads that were not as their supervisor is. */
  readonly threads: ReadonlyMap<string, ThreadBefore>;
}

/** Most characters about threads that are kept; threads past it become as their supervisor is. */
const linesMax = 12_000;

/**
 * The file in a supervisor's folder that says how its tree was, for a later agent, too. It need not outlive the machine. What
 * a full disk does not take is known to this object alone: a job that has filled it is in somebody's way all the same.
 */
export class ThrottledBefore {
  readonly #path: string;
  #unwritten: TreeBefore | undefined;

  constructor(supervisorFolder: string) {
    this.#path = join(supervisorFolder, 'throttled');
  }

  /** Nothing when the tree is not throttled. */
  read(): TreeBefore | undefined {
    if (this.#unwritten) return this.#unwritten;
    const words = readWords(this.#path);
    const [first = '', ...lines] = words?.split('\n') ?? [];
    const [mark, weight, heldTo] = first.split(' ');
    if (mark !== 'throttled') return undefined;
    const threads = lines.filter(Boolean).map((line) => {
      const [key = '', nice, cpus = ''] = line.split(' ');
      return [key, { nice: Number(nice), cpus }] as const;
    });
    return { weight: weight || undefined, heldTo: heldTo || undefined, threads: new Map(threads) };
  }

  /** Says that it is throttled. What is known of how it was stays known. */
  begin({ weight, heldTo }: { readonly weight?: string; readonly heldTo?: string }): void {
    const last = this.read();
    this.#write({ weight: last?.weight ?? weight, heldTo, threads: last?.threads ?? new Map() });
  }

  /** Remembers threads, if they are not remembered already. */
  add(threads: ReadonlyMap<string, ThreadBefore>): void {
    const last = this.read();
    if (last && threads.size > 0) this.#write({ ...last, threads: new Map([...threads, ...last.threads]) });
  }

  remove(): void {
    this.#unwritten = undefined;
    rmSync(this.#path, { force: true });
  }

  #write(before: TreeBefore): void {
    const { weight = '', heldTo = '', threads } = before;
    let lines = '';
    for (const [key, { nice, cpus }] of threads) {
      const line = `${key} ${nice} ${cpus}\n`;
      if (lines.length + line.length <= linesMax) lines += line;
    }
    try {
      // Whoever reads finds all of it or nothing.
      withSpares(() => writeFileSync(`${this.#path}.new`, `throttled ${weight} ${heldTo}\n${lines}`));
      renameSync(`${this.#path}.new`, this.#path);
      this.#unwritten = undefined;
    } catch (error) {
      if (!isSystemError(error, 'ENOSPC', 'EDQUOT', 'EROFS')) throw error;
      this.#unwritten = before;
    }
  }
}
