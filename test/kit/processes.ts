import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A user of the system, by number. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** What a finished command left. */
export interface Captured {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  /** Who runs it. Default: whoever runs the tests. */
  readonly user?: User | undefined;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A file that gets a copy of everything the process prints. */
  readonly logFile?: string;
  /** Whether something is to be typed into it; else it reads nothing. */
  readonly typed?: boolean;
}

/** A process of ours that goes on, its lines as they come, and how it is ended. */
export class Running {
  readonly #child: ChildProcess;
  readonly #what: string;
  readonly #listeners = new Set<() => void>();
  /** Lines of its standard output and error, in order of arrival. */
  readonly lines: string[] = [];
  /** Resolves when the process itself has ended; what it started may still hold its pipes. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  constructor(argv: readonly string[], options: StartOptions = {}) {
    const [command = '', ...args] = argv;
    this.#what = argv.join(' ');
    this.#child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      ...options.user,
      stdio: [options.typed ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        if (options.logFile !== undefined) appendFileSync(options.logFile, `${line}\n`);
        for (const listener of this.#listeners) listener();
      });
    }
    this.exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.lines.push(String(error));
        resolve({ code: null, signal: null });
      });
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    void this.exited.then(() => {
      for (const listener of this.#listeners) listener();
    });
  }

  /** Types something into it. */
  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** From now on nobody reads what it says. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  /** Resolves with the first line, from number `since` on, that matches; rejects when the process ends without one. */
  line(pattern: RegExp, timeoutMs = 30_000, since = 0): Promise<string> {
    return new Promise((resolve, reject) => {
      const finish = (error?: Error, found?: string) => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        if (found === undefined) reject(error);
        else resolve(found);
      };
      const look = () => {
        const found = this.lines.slice(since).find((line) => pattern.test(line));
        if (found !== undefined) finish(undefined, found);
        else if (this.ended) setImmediate(() => finish(this.#complaint(`ended before it printed ${pattern}`)));
      };
      const timer = setTimeout(
        () => finish(this.#complaint(`did not print ${pattern} within ${timeoutMs} ms`)),
        timeoutMs,
      );
      this.#listeners.add(look);
      look();
    });
  }

  /** Sends a signal to this process alone and resolves when it has ended. */
  async end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    if (!this.ended) this.#child.kill(signal);
    return this.exited;
  }

  /** SIGTERM, and SIGKILL when it has not ended after `graceMs`. */
  async stop(graceMs = 8_000): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    try {
      return await this.end('SIGTERM');
    } finally {
      clearTimeout(timer);
    }
  }

  #complaint(said: string): Error {
    return new Error(`"${this.#what}" ${said}; its last lines:\n${this.lines.slice(-30).join('\n')}`);
  }
}

/** Runs a command to its end; killed after `timeoutMs`, which is then an error. */
export function capture(
  argv: readonly string[],
  options: StartOptions & { readonly timeoutMs?: number; readonly input?: string } = {},
): Promise<Captured> {
  const [command = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const { cwd, env = process.env, user } = options;
    const child = spawn(command, args, { cwd, env, ...user, stdio: 'pipe' });
    const timeoutMs = options.timeoutMs ?? 120_000;
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`"${argv.join(' ')}" ran for more than ${timeoutMs} ms\n${stdout}\n${stderr}`));
    }, timeoutMs);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.on('error', () => undefined); // a command that reads no input may be gone before it is written
    child.stdin.end(options.input ?? '');
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** The last lines of a log file; empty when there is none. */
export function tail(file: string, lines = 60): string {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}
