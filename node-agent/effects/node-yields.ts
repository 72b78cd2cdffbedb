import { background } from '../../base/background.ts';
import type { Executor } from '../ports.ts';
import { free, type Yielding } from '../presence/decide-yield.ts';
import type { YieldReport } from '../wire.ts';
import { TreeYields, type TreeYieldsPorts, type Wish } from './tree-yields.ts';

/** What the node does for the person at its desk, and what is known of when they come. Times are wall clock. */
export interface NodeYield extends Yielding {
  readonly sinceMs: number;
  /** From which minute of the local day they are usually away; nothing while too little is known. */
  readonly usuallyFreeFromMinute: number | undefined;
  /** The chance that they come within the next hour, 0 to 1; nothing while too little is known. */
  readonly interruption: number | undefined;
}

/** What yielding needs of an agent. */
export interface NodeYieldsPorts extends TreeYieldsPorts {
  readonly executor: Pick<Executor, 'freeze' | 'thaw' | 'throttle' | 'processes'>;
  /** There is something else to tell the head. */
  tellHead(): void;
}

const unasked: NodeYield = { ...free, sinceMs: 0, usuallyFreeFromMinute: undefined, interruption: undefined };

/** What a node does for the person at its desk: to all that runs here, and in words to the head. */
export class NodeYields {
  readonly #ports: NodeYieldsPorts;
  readonly #trees: TreeYields;
  #yielding: NodeYield = unasked;

  constructor(ports: NodeYieldsPorts) {
    this.#ports = ports;
    this.#trees = new TreeYields(ports);
  }

  get takesJobs(): boolean {
    return this.#yielding.takesJobs;
  }

  /** Resolves when everything that runs does it. */
  async want(yielding: NodeYield, wish: Wish): Promise<void> {
    const isNews = JSON.stringify(this.#yielding) !== JSON.stringify(yielding);
    this.#yielding = yielding;
    if (isNews) this.#ports.tellHead();
    await this.#trees.want(wish);
  }

  /** Processes that may have to yield run now, or have ended: what is left has more cores to itself. */
  treesChanged(): void {
    background(this.#trees.apply());
  }

  /** Ids of all processes that yield. */
  async processes(): Promise<readonly number[]> {
    const found = this.#ports.trees().map(({ home }) => this.#ports.executor.processes(home));
    return (await Promise.all(found)).flat();
  }

  /** For the head. */
  report(): YieldReport {
    const { untilMs, sinceMs, ...plain } = this.#yielding;
    const nowMs = this.#ports.clock.nowMs();
    return { ...plain, sinceMsAgo: nowMs - sinceMs, endsInMs: untilMs === undefined ? undefined : untilMs - nowMs };
  }

  close(): void {
    this.#trees.close();
  }
}
