import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** What the head's process said of its coverage. */
export interface Covered {
  readonly fresh: number;
  readonly blocks: number;
}

/** Lines kept of what the head says. */
const linesMax = 200;
const startMs = 30_000;
const closeMs = 15_000;

/** A head in a process of its own, which tells what of it has run. */
export class HeadProcess {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #errors: string[] = [];
  /** `host:port`. */
  address = '';

  private constructor(dist: string, folder: string) {
    const preload = ['--import', join(dist, 'fuzz-covered.js')];
    const argv = [...preload, join(dist, 'labrun.js'), 'head', 'start', '--data', folder, '--grpc', '127.0.0.1:0'];
    this.#child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#hear(line));
    }
  }

  /** Resolves when it listens. */
  static async start(dist: string, folder: string): Promise<HeadProcess> {
    const head = new HeadProcess(dist, folder);
    const timer = setTimeout(() => head.kill(), startMs);
    try {
      while (head.address === '') {
        if (head.ended) throw new Error(`The head did not start:\n${head.tail()}`);
        await Promise.race([once(head.#child, 'heard'), once(head.#child, 'exit')]);
      }
      return head;
    } finally {
      clearTimeout(timer);
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it has logged as errors since the last call. */
  takeErrors(): string[] {
    return this.#errors.splice(0);
  }

  tail(lines = 20): string {
    return this.#lines.slice(-lines).join('\n');
  }

  /** What has run since the last call; nothing when the process is gone. */
  async coverage(): Promise<Covered | undefined> {
    if (this.ended || !this.#child.connected) return undefined;
    const over = new AbortController();
    const { signal } = over;
    const gone = () => [undefined];
    const answer = Promise.race([
      once(this.#child, 'message', { signal }),
      once(this.#child, 'exit', { signal }).then(gone, gone),
    ]);
    this.#child.send('look');
    const [covered] = await answer;
    over.abort();
    return covered as Covered | undefined; // covered.ts sends nothing else
  }

  /** Bytes of memory it has at most had, as the kernel counts them. */
  peakBytes(): number {
    try {
      const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
      return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    } catch {
      return 0; // it has ended, and that is told elsewhere
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** SIGTERM; answers with how it ended: 0 when it closed in order. */
  async stop(): Promise<number | string> {
    const ended = this.ended ? undefined : once(this.#child, 'exit');
    const timer = setTimeout(() => this.kill(), closeMs);
    this.#child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
    return this.#child.exitCode ?? this.#child.signalCode ?? 'nothing';
  }

  #hear(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > linesMax) this.#lines.shift();
    this.address ||= /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1] ?? '';
    const isLog = line.startsWith('{');
    if (isLog ? /"level":[5-6]0/.test(line) : /Error|Assert|at .*\.js:/.test(line)) this.#errors.push(line);
    this.#child.emit('heard');
  }
}
