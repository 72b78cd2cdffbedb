import { appendFileSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, onTestFinished } from 'vitest';
import { killAllNaming, processesNaming } from './proc.ts';
import { type Captured, capture, Running, tail, type User } from './processes.ts';
import { program } from './program.ts';
import { mountLoopDisk, mountSmallDisk, type SmallDisk, type SmallDiskOptions } from './small-disk.ts';
import { until } from './until.ts';

/** What an agent of a test is given; everything has a default fit for a small machine. */
export interface AgentOptions {
  readonly cpus?: number;
  /** Capabilities beside those that the agent finds by itself. */
  readonly capabilities?: Readonly<Record<string, { env?: Record<string, string>; setup?: string }>>;
  /** Somebody may sit there and be noticed. Default: no; whoever runs the tests would be. */
  readonly watched?: boolean;
  /** More settings of the agent's configuration file. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface LabOptions {
  /** Agents to start, by name. Default: one, "n1", with two cores. */
  readonly agents?: Readonly<Record<string, AgentOptions>>;
  readonly dataFolder?: string;
  /** More lines of the head's settings. */
  readonly headSettings?: string;
  /** Whether to start the head and the agents. Default: yes. */
  readonly start?: boolean;
  /** Who runs everything of the lab. Default: whoever runs the tests. */
  readonly user?: User | undefined;
}

/** A head, agents and a home folder of their own, all real processes, reached through Unix sockets. */
export class Lab {
  /** Everything of the lab lies here; short, because sockets' paths are limited. */
  readonly folder = mkdtempSync(join(tmpdir(), 'lab-'));
  readonly agents = new Map<string, Running>();
  readonly #agentOptions = new Map<string, AgentOptions>();
  readonly #others: Running[] = [];
  readonly #user: User | undefined;
  readonly #disks: SmallDisk[] = [];
  #head: Running | undefined;
  /** What services are started by. */
  #prefix: readonly string[] = [];

  constructor(user?: User) {
    this.#user = user;
    mkdirSync(this.path('home'));
    if (user) for (const folder of [this.folder, this.path('home')]) chownSync(folder, user.uid, user.gid);
  }

  get head(): Running {
    if (this.#head === undefined) throw new Error('The head of this lab was not started');
    return this.#head;
  }

  get address(): string {
    return `unix:${this.folder}/head.sock`;
  }

  /** What the head listens on, and what agents dial: the same socket, where all is on one machine. */
  protected get listening(): string {
    return this.address;
  }
  protected get dialled(): string {
    return this.address;
  }

  get env(): Record<string, string> {
    const { NODE_EXTRA_CA_CERTS: _, LABRUN_TOKEN: __, LABRUN_CONFIG: ___, ...inherited } = process.env;
    const own = { HOME: join(this.folder, 'home'), LABRUN_HEAD: this.address, NO_COLOR: '1', USER: 'tester' };
    return { ...(inherited as Record<string, string>), ...own }; // the values of an environment are strings
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  agentFolder(name: string): string {
    return this.path(`agent-${name}`);
  }

  get archive(): string {
    return this.path('head', 'archive');
  }

  /** Makes the head's data folder, unless it is there; `settings`: more lines of its head.yaml. */
  async initHead(settings = ''): Promise<void> {
    if (existsSync(this.path('head', 'head.yaml'))) return;
    this.must(await this.labrun('head', 'init', '--data', this.path('head')));
    appendFileSync(this.path('head', 'head.yaml'), settings);
  }

  async startHead(...options: string[]): Promise<void> {
    await this.initHead();
    this.#head = this.#start(
      ['head', 'start', '--data', this.path('head'), '--grpc', this.listening, ...options],
      'head',
    );
    await this.#head.line(/listening on/);
  }

  /** Services that are started from now on may have so many files open, and no more. */
  limitDescriptors(max: number): void {
    this.#prefix = ['prlimit', `--nofile=${max}`];
  }

  /** Gives an agent's data, or the head's, a small disk of its own. Call it before that is started. */
  smallDisk(folder: string, sizeBytes: number, options?: SmallDiskOptions): SmallDisk {
    const disk = mountSmallDisk(folder, sizeBytes, options);
    this.#disks.push(disk);
    return disk;
  }

  /** The same, a true disk with a filesystem that also can run out of names. */
  loopDisk(folder: string, sizeBytes: number, options?: SmallDiskOptions): SmallDisk {
    const disk = mountLoopDisk(folder, sizeBytes, options);
    this.#disks.push(disk);
    return disk;
  }

  /** Starts an agent, or starts it again with what it had; resolves when it is connected. */
  async startAgent(name: string, options?: AgentOptions): Promise<Running> {
    const agent = this.launchAgent(name, options);
    await agent.line(/: connected to/);
    return agent;
  }

  /** Starts an agent without waiting for its connection. */
  launchAgent(name: string, options?: AgentOptions, address = this.dialled): Running {
    const chosen = options ?? this.#agentOptions.get(name) ?? {};
    this.#agentOptions.set(name, chosen);
    const config = this.path(`agent-${name}.yaml`);
    const settings = { cpus: chosen.cpus ?? 2, capabilities: chosen.capabilities ?? {}, ...chosen.settings };
    writeFileSync(config, JSON.stringify(settings));
    const where = ['--data', this.agentFolder(name), '--head', address, '--name', name, '--config', config];
    if (!chosen.watched) where.push('--dedicated');
    const agent = this.#start(['agent', 'start', ...where], `agent-${name}`);
    this.agents.set(name, agent);
    return agent;
  }

  /** Runs the CLI to its end, with this lab's head and home. */
  labrun(...args: string[]): Promise<Captured> {
    return capture([process.execPath, program, ...args], { env: this.env, cwd: this.folder, user: this.#user });
  }

  /** Runs the CLI, which must succeed, and reads the JSON it prints. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into many shapes, and a wrong one fails them
  async json(...args: string[]): Promise<any> {
    return JSON.parse(this.must(await this.labrun(...args, '--json')).stdout);
  }

  /** Runs the CLI, which must succeed. */
  async ok(...args: string[]): Promise<string> {
    return this.must(await this.labrun(...args)).stdout;
  }

  /** Starts a command of the CLI that goes on; ended with the lab. */
  follow(...args: string[]): Running {
    const running = new Running([process.execPath, program, ...args], {
      env: this.env,
      cwd: this.folder,
      user: this.#user,
    });
    this.#others.push(running);
    return running;
  }

  /** Starts any other program; ended with the lab. */
  run(argv: readonly string[], env: Readonly<Record<string, string>> = this.env): Running {
    const running = new Running(argv, { env, cwd: this.folder, user: this.#user, logFile: this.path('others.log') });
    this.#others.push(running);
    return running;
  }

  /** Writes files below a new folder of the lab and returns that folder. */
  write(folder: string, files: Readonly<Record<string, string>>): string {
    for (const [name, text] of Object.entries(files)) {
      const path = this.path(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
    return this.path(folder);
  }

  /** Writes a job file (JSON is YAML) with what it names, and returns its path. */
  jobFile(folder: string, spec: object, files: Readonly<Record<string, string>> = {}): string {
    return join(this.write(folder, { ...files, 'labrun.yaml': JSON.stringify(spec) }), 'labrun.yaml');
  }

  /** Resolves when the batch's jobs satisfy `condition`, told by the head's own count. */
  // biome-ignore lint/suspicious/noExplicitAny: see json()
  untilStatus(batch: string, what: string, condition: (status: any) => boolean, timeoutMs = 45_000): Promise<any> {
    let last: unknown;
    return until(
      () => `${what}; last: ${JSON.stringify(last)}`,
      async () => {
        const status = await this.json('status', batch);
        last = status.counts;
        return condition(status) ? status : undefined;
      },
      timeoutMs,
    );
  }

  /** Processes of this lab other than its head, agents and what those need to serve. */
  strays(): { pid: number; command: string }[] {
    const own = new Set([this.#head, ...this.agents.values(), ...this.#others].map((running) => running?.pid));
    return processesNaming(this.folder).filter(({ pid }) => !own.has(pid));
  }

  must(captured: Captured): Captured {
    if (captured.code === 0) return captured;
    const { code, signal, stdout, stderr } = captured;
    throw new Error(`labrun ended with ${signal ?? code}\n${stdout}\n${stderr}`);
  }

  /** The last lines of every process of the lab, for a test that failed. */
  logs(): string {
    const names = ['head', ...[...this.agents.keys()].map((name) => `agent-${name}`)];
    return names.map((name) => `--- ${name}\n${tail(this.path(`${name}.log`))}`).join('\n');
  }

  /** Ends everything of the lab, jobs included, and removes it. */
  async close(): Promise<void> {
    const services = [...this.#others, ...this.agents.values(), ...(this.#head === undefined ? [] : [this.#head])];
    await Promise.all(services.map((running) => running.stop(5_000)));
    // Jobs outlive their agents by design, so what still runs here is killed.
    killAllNaming(this.folder);
    await until('the processes of the lab end', () => processesNaming(this.folder).length === 0);
    for (const disk of this.#disks) disk.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #start(args: readonly string[], name: string): Running {
    const options = { env: this.env, cwd: this.folder, user: this.#user, logFile: this.path(`${name}.log`) };
    return new Running(this.on(name, ...this.#prefix, process.execPath, program, ...args), options);
  }

  /** The command line that runs a program where this service runs. */
  protected on(_service: string, ...argv: string[]): string[] {
    return argv;
  }
}

/** A lab for one test, closed at its end; on failure its logs are shown. Call it inside the test. */
export async function ownLab(options: LabOptions = {}): Promise<Lab> {
  const lab = new Lab(options.user);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${lab.logs()}\n`);
    await lab.close();
  });
  await open(lab, options);
  return lab;
}

/** A lab for all tests of the surrounding `describe` or file. Call it outside of tests. */
export function sharedLab(options: LabOptions = {}): () => Lab {
  let lab: Lab | undefined;
  beforeAll(async () => {
    lab = new Lab(options.user);
    await open(lab, options).catch((error) => {
      process.stderr.write(`${lab?.logs()}\n`);
      throw error;
    });
  });
  afterEach((context) => {
    if (context.task.result?.state === 'fail') process.stderr.write(`${lab?.logs()}\n`);
  });
  afterAll(async () => {
    await lab?.close();
  });
  return () => {
    if (lab === undefined) throw new Error('The lab is there only inside tests');
    return lab;
  };
}

/** Starts what the options name. */
export async function open(lab: Lab, options: LabOptions): Promise<void> {
  if (options.start === false) return;
  await lab.initHead(options.headSettings);
  await lab.startHead();
  const agents = Object.entries(options.agents ?? { n1: {} });
  await Promise.all(agents.map(([name, settings]) => lab.startAgent(name, settings)));
}
