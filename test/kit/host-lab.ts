import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { type AgentOptions, Lab, type LabOptions, open } from './lab.ts';
import { Network } from './network.ts';
import { type Captured, capture, type Running } from './processes.ts';
import { program } from './program.ts';
import { realPart } from './real-parts.ts';

/** The host of the head, and the one people sit at. */
const storage = 'storage';
const laptop = 'laptop';
const port = 7420;

/**
 * A lab whose head and agents are hosts of their own, with lines between them that can be broken: TLS, as between machines. What
 * the lab itself asks goes through the head's own socket, whatever happens to the lines.
 */
export class HostLab extends Lab {
  readonly network: Network;

  constructor(network: Network) {
    super();
    this.network = network;
  }

  override get address(): string {
    return `unix:${this.path('head', 'head.sock')}`;
  }

  protected override get listening(): string {
    return `0.0.0.0:${port}`;
  }

  protected override get dialled(): string {
    return `${storage}:${port}`;
  }

  protected override on(service: string, ...argv: string[]): string[] {
    return this.network.on(service === 'head' ? storage : service.replace(/^agent-/, ''), ...argv);
  }

  /** An agent's host has the agent's name. */
  override async startAgent(name: string, options?: AgentOptions): Promise<Running> {
    const token = (await this.ok('token', 'create', '--node')).trim();
    const join = ['agent', 'join', this.dialled, '--token', token, '--data', this.agentFolder(name), '--name', name];
    this.must(await capture(this.on(name, process.execPath, program, ...join), { env: this.env }));
    return await super.startAgent(name, options);
  }

  /** Logs somebody in at the laptop. */
  async login(user: string): Promise<void> {
    const token = (await this.ok('token', 'create', '--user', user)).trim();
    this.must(await this.atLaptop('login', this.dialled, '--token', token));
  }

  /** Runs the CLI at the laptop, to its end. */
  atLaptop(...args: string[]): Promise<Captured> {
    const [argv, options] = this.#laptop(args);
    return capture(argv, { ...options, timeoutMs: 240_000 });
  }

  /** Starts a command at the laptop. */
  startAtLaptop(...args: string[]): Running {
    const [argv, options] = this.#laptop(args);
    return this.run(argv, options.env);
  }

  #laptop(args: readonly string[]) {
    const { LABRUN_HEAD: _, ...env } = this.env;
    const home = this.path('laptop');
    mkdirSync(home, { recursive: true });
    return [this.network.on(laptop, process.execPath, program, ...args), { env: { ...env, HOME: home } }] as const;
  }
}

/** Hosts for all tests of a file. One network at a time is what a process can have. */
export function sharedNetwork(...agents: string[]): () => Network {
  let network: Network | undefined;
  beforeAll(() => {
    if (realPart('netns').available) network = new Network(storage, laptop, ...agents);
  });
  afterAll(() => network?.close());
  return () => {
    if (network === undefined) throw new Error('There are hosts only inside tests that need them');
    return network;
  };
}

/** A lab on these hosts for one test; every line is healed, and all of it closed, at its end. Call it inside the test. */
export async function hostLab(network: Network, options: LabOptions): Promise<HostLab> {
  const lab = new HostLab(network);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${lab.logs()}\n`);
    for (const host of network.hosts) network.heal(host);
    await lab.close();
  });
  await open(lab, options);
  return lab;
}
