import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { capture, Running, type User } from '../test/kit/processes.ts';

/** The program lies beside the bundled bench. */
const program = join(dirname(fileURLToPath(import.meta.url)), 'labrun.js');

/** A head and its agents as separate processes in a temporary folder, durable as always. */
export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'bench-'));
  readonly #agents: Running[] = [];
  readonly #user: User | undefined;
  #head: Running | undefined;

  /** All of it runs as this user; by default as whoever runs the bench. */
  constructor(user?: User) {
    this.#user = user;
    mkdirSync(join(this.folder, 'home'));
    if (user) for (const folder of [this.folder, join(this.folder, 'home')]) chownSync(folder, user.uid, user.gid);
  }

  get headPid(): number {
    return this.#head?.pid ?? 0;
  }

  async startHead(): Promise<void> {
    await this.labrun('head', 'init', '--data', join(this.folder, 'head'));
    await this.restartHead();
  }

  /** Starts the head on what is there; resolves when it serves. */
  async restartHead(): Promise<void> {
    this.#head = this.#start(['head', 'start', '--data', join(this.folder, 'head'), '--grpc', this.#address], 'head');
    await this.#head.line(/listening on/, 60_000);
  }

  async killHead(): Promise<void> {
    await this.#head?.end('SIGKILL');
  }

  /** `watched`: it yields to whoever is there. `settings`: more of its settings. */
  async startAgent(
    name: string,
    cpus: number,
    options: { readonly watched?: boolean; readonly settings?: object } = {},
  ): Promise<Running> {
    const config = join(this.folder, `${name}.yaml`);
    writeFileSync(config, JSON.stringify({ cpus, ...options.settings }));
    const where = ['--data', this.agentFolder(name), '--head', this.#address, '--name', name, '--config', config];
    const agent = this.#start(['agent', 'start', ...where, ...(options.watched ? [] : ['--dedicated'])], name);
    this.#agents.push(agent);
    await agent.line(/: connected to/, 60_000);
    return agent;
  }

  agentFolder(name: string): string {
    return join(this.folder, name);
  }

  /** Starts `labrun` with a further environment; it is ended with the cluster. */
  follow(env: Readonly<Record<string, string>>, ...args: string[]): Running {
    const options = { env: { ...this.#env, ...env }, user: this.#user, logFile: join(this.folder, 'others.log') };
    const running = new Running([process.execPath, program, ...args], options);
    this.#agents.push(running);
    return running;
  }

  /** Runs the CLI to its end; an exit code other than 0 is an error. */
  async labrun(...args: string[]): Promise<string> {
    const ran = await capture([process.execPath, program, ...args], {
      ...{ env: this.#env, user: this.#user, timeoutMs: 600_000 },
    });
    if (ran.code !== 0)
      throw new Error(`"labrun ${args.join(' ')}" ended with ${ran.signal ?? ran.code}: ${ran.stderr}`);
    return ran.stdout;
  }

  /** Writes a job file and what it names into a folder of its own. */
  write(name: string, files: Readonly<Record<string, string>>): string {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
    return join(folder, 'labrun.yaml');
  }

  async close(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.stop()));
    await this.#head?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #address(): string {
    return `unix:${this.folder}/head.sock`;
  }

  /** NODE_EXTRA_CA_CERTS would add a tenth of a second to every start of Node. */
  get #env(): Record<string, string> {
    const { NODE_EXTRA_CA_CERTS: _, ...inherited } = process.env;
    const own = { HOME: join(this.folder, 'home'), LABRUN_HEAD: this.#address, NO_COLOR: '1' };
    return { ...(inherited as Record<string, string>), ...own }; // the values of an environment are strings
  }

  #start(args: readonly string[], name: string): Running {
    const options = { env: this.#env, user: this.#user, logFile: join(this.folder, `${name}.log`) };
    return new Running([process.execPath, program, ...args], options);
  }
}
