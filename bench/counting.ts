import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { deskState, withDesk } from '../cli/desk-connect.ts';
import type { DeskState } from '../proto/gen/labrun/v1/desk.ts';
import { until } from '../test/kit/until.ts';
import type { Cluster } from './cluster.ts';

/** A job of an agent "n1" of which some processes write into a file each, a hundred times a second, and the others sleep. */
export class Counting {
  readonly #cluster: Cluster;
  readonly #files: readonly string[];

  constructor(cluster: Cluster, counters: number) {
    this.#cluster = cluster;
    this.#files = Array.from({ length: counters }, (_, number) => join(cluster.folder, `count-${number}`));
  }

  /** Submits it; resolves when all of its processes run. */
  async start(processes: number): Promise<void> {
    const counters = this.#files.length;
    const run = `mkfifo gate; exec 3<>gate
count() { echo $BASHPID >"$1.pid"; while :; do read -t 0.01 -u 3 || true; echo >"$1"; done; }
i=0; while [ $i -lt ${counters - 1} ]; do count ${this.#cluster.folder}/count-$i & i=$((i+1)); done
i=0; while [ $i -lt ${processes - counters} ]; do (exec 3>&-; exec sleep 6000) & i=$((i+1)); done
count ${this.#cluster.folder}/count-${counters - 1}`;
    const spec = { name: 'counts', namespace: 't', jobs: [{ name: 'j', needs: { cpus: 1 }, run }] };
    await this.#cluster.labrun('submit', this.#cluster.write('counts', { 'labrun.yaml': JSON.stringify(spec) }));
    // The last one starts when the others have.
    await until('the job counts', () => this.lastCountMs() > 0, 120_000);
  }

  /** Those that write. */
  pids(): readonly number[] {
    return this.#files.map((file) => Number(readFileSync(`${file}.pid`, 'utf8')));
  }

  /** When the last of them wrote last, on the wall clock in milliseconds. */
  lastCountMs(): number {
    return Math.max(...this.#files.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Number.NaN));
  }

  /** Resolves when all write. */
  async counts(): Promise<void> {
    const sinceMs = Date.now();
    await until('all count', () => this.#files.every((file) => statSync(file).mtimeMs > sinceMs), 60_000);
  }

  /** What the agent says of its desk. */
  state(): Promise<DeskState> {
    return withDesk({ data: this.#cluster.agentFolder('n1') }, deskState);
  }

  async untilState(what: string, fits: (state: DeskState) => boolean): Promise<void> {
    let last: DeskState | undefined;
    const describe = () => `${what}; last: ${last?.step} ${last?.presence?.why}`;
    const check = async () => {
      last = await this.state();
      return fits(last);
    };
    await until(describe, check, 300_000);
  }

  async cancel(): Promise<void> {
    await this.#cluster.labrun('cancel', 't/counts');
    await until('the job has ended', async () => (await this.state()).jobs.length === 0, 60_000);
  }
}
