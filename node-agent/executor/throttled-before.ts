import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readWords } from './small-file.ts';

/** How a thread was before it was throttled. */
export interface ThreadBefore {
  readonly nice: number;
  /** Processors that it might use, as the kernel writes them ("0-3,8"). */
  readonly cpus: string;
}

/** How a tree was before it was throttled. */
export interface TreeBefore {
  /** To how many it is throttled. */
  readonly cores: number;
  /** Of its control group, in the kernel's own units; nothing where no group limits it. */
  readonly weight: string | undefined;
  /** Threads that were not as their supervisor is. */
  readonly threads: ReadonlyMap<string, ThreadBefore>;
}

/** Most threads that are remembered; those past it become as their supervisor is. */
const threadsMax = 300;

/** The file in a supervisor's folder that says how its tree was, for a later agent, too. It need not outlive the machine. */
export class ThrottledBefore {
  readonly #path: string;

  constructor(supervisorFolder: string) {
    this.#path = join(supervisorFolder, 'throttled');
  }

  /** Nothing when the tree is not throttled. */
  read(): TreeBefore | undefined {
    const words = readWords(this.#path);
    const [first = '', ...lines] = words?.split('\n') ?? [];
    const [cores, weight] = first.split(' ');
    if (words === undefined || !(Number(cores) > 0)) return undefined;
    const threads = lines.filter(Boolean).map((line) => {
      const [key = '', nice, cpus = ''] = line.split(' ');
      return [key, { nice: Number(nice), cpus }] as const;
    });
    return { cores: Number(cores), weight: weight || undefined, threads: new Map(threads) };
  }

  /** Says that it is throttled. What is known of how it was stays known. */
  begin(cores: number, weight?: string): void {
    const last = this.read();
    this.#write({ cores, weight: last?.weight ?? weight, threads: last?.threads ?? new Map() });
  }

  /** Remembers threads, if they are not remembered already. */
  add(threads: ReadonlyMap<string, ThreadBefore>): void {
    const last = this.read();
    if (last && threads.size > 0) this.#write({ ...last, threads: new Map([...threads, ...last.threads]) });
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }

  #write({ cores, weight = '', threads }: TreeBefore): void {
    const lines = [...threads].slice(0, threadsMax).map(([key, { nice, cpus }]) => `${key} ${nice} ${cpus}\n`);
    // Whoever reads finds all of it or nothing.
    writeFileSync(`${this.#path}.new`, `${cores} ${weight}\n${lines.join('')}`);
    renameSync(`${this.#path}.new`, this.#path);
  }
}
