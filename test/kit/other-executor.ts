import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, onTestFinished } from 'vitest';
import type { ExecutorOptions } from '../../node-agent/executor/executor.ts';
import type { FreezingName, Frozen, ProcessRequest, Throttle, ThrottleFacts } from '../../node-agent/ports.ts';
import type { User } from './processes.ts';
import { repository } from './program.ts';

/** How another executor is opened. */
export type OtherOptions = Pick<ExecutorOptions, 'folder' | 'trackings' | 'freezings' | 'controls'>;

/** A command that becomes the program given to it, such as one that enters a control group first. */
export type Wrapper = (argv: readonly string[]) => readonly string[];

/** The program of another executor, bundled for this process and removed when its tests are over. */
export async function buildOtherExecutor(): Promise<string> {
  // Below the repository, so that packages are found from there.
  const program = join(repository, '.build', `other-executor-${process.pid}.mjs`);
  mkdirSync(dirname(program), { recursive: true });
  await build({
    entryPoints: [join(repository, 'test/fixtures/other-executor.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
  afterAll(() => rmSync(program, { force: true }));
  return program;
}

/** An executor in a process of its own, which may be another user's and may be killed. */
export class OtherExecutor {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#reader = createInterface({ input: child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    child.stderr.pipe(process.stderr);
  }

  /** Resolves when it can take a tree; it is killed when the test has finished. */
  static async open(
    program: string,
    options: OtherOptions,
    user?: User,
    wrap: Wrapper = (argv) => argv,
  ): Promise<{ readonly executor: OtherExecutor; readonly tracking: string; readonly freezing: FreezingName }> {
    const [command = '', ...args] = wrap([process.execPath, program, JSON.stringify(options)]);
    const child = spawn(command, args, { cwd: '/', env: { PATH: '/usr/bin:/bin' }, ...user });
    onTestFinished(() => void child.kill('SIGKILL'));
    const executor = new OtherExecutor(child);
    const ways = (await executor.#answer()) as { tracking: string; freezing: FreezingName }; // as its program says
    return { executor, ...ways };
  }

  start = (request: ProcessRequest) => this.#call<object>('start', request);
  freeze = (home: string) => this.#call<Frozen>('freeze', home);
  thaw = (home: string) => this.#call<null>('thaw', home);
  isFrozen = (home: string) => this.#call<boolean>('isFrozen', home);
  processes = (home: string) => this.#call<readonly number[]>('processes', home);
  kill = (home: string, graceMs: number) => this.#call<null>('kill', home, graceMs);
  throttle = (home: string, throttle?: Throttle) => this.#call<ThrottleFacts>('throttle', home, throttle);

  /** `kill -9`. */
  async die(): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #call<Answer>(...call: readonly unknown[]): Promise<Answer> {
    this.#child.stdin.write(`${JSON.stringify(call)}\n`);
    return (await this.#answer()) as Answer; // as the method of this name answers
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the other executor has ended; see its words above');
    return JSON.parse(value);
  }
}
