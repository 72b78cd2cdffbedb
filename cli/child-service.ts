import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { programFile } from '../base/assets.ts';
import { systemClock } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';

/** How long a service may take to end after SIGTERM, in milliseconds. */
const graceMs = 8_000;
/** Last lines that are told when a service ends too early. */
const tailMax = 20;

/** This very program, running as a service of a private cluster. */
export class ChildService {
  readonly #child: ChildProcess;
  readonly #what: string;
  readonly #tail: string[] = [];
  readonly #watchers = new Set<(line: string | undefined) => void>();
  readonly #ended: Promise<void>;

  /** `logFile` gets what it prints. Its group is its own, so that Ctrl-C reaches us alone and the end is orderly. */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv, logFile: string) {
    this.#what = args.slice(0, 2).join(' ');
    this.#child = spawn(process.execPath, [programFile(), ...args], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#take(line, logFile));
    }
    this.#ended = new Promise((resolve) => {
      const end = () => {
        resolve();
        for (const watcher of this.#watchers) watcher(undefined);
      };
      this.#child.once('error', (error) => {
        this.#take(error.message, logFile);
        end();
      });
      this.#child.once('close', end);
    });
  }

  /** Resolves when a line that matches is printed; rejects when the service ends first, or with the signal's reason. */
  printed(pattern: RegExp, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: unknown) => {
        this.#watchers.delete(watcher);
        signal.removeEventListener('abort', abort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const watcher = (line: string | undefined) => {
        if (line === undefined) finish(this.#tooEarly());
        else if (pattern.test(line)) finish();
      };
      const abort = () => finish(signal.reason);
      if (signal.aborted) return finish(signal.reason);
      signal.addEventListener('abort', abort);
      this.#watchers.add(watcher);
      if (this.#tail.some((line) => pattern.test(line))) finish();
      else if (this.#child.exitCode !== null || this.#child.pid === undefined) finish(this.#tooEarly());
    });
  }

  /** Resolves when the service has ended by itself, with its exit status. */
  async finished(): Promise<number> {
    await this.#ended;
    return this.#child.exitCode ?? 1;
  }

  /** Ends the service: SIGTERM, and SIGKILL when that takes too long. Resolves when it is gone. */
  async stop(): Promise<void> {
    const timer = systemClock.setTimer(graceMs, () => this.#child.kill('SIGKILL'));
    this.#child.kill('SIGTERM');
    await this.#ended;
    timer.cancel();
  }

  #take(line: string, logFile: string): void {
    appendFileSync(logFile, `${line}\n`);
    this.#tail.push(line);
    if (this.#tail.length > tailMax) this.#tail.shift();
    for (const watcher of this.#watchers) watcher(line);
  }

  #tooEarly(): Fault {
    return new Fault('child', `Cannot run a private cluster: "labrun ${this.#what}" ended\n${this.#tail.join('\n')}`);
  }
}
