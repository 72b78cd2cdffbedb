import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { removeGroup } from '../../node-agent/executor/cgroup.ts';
import { type Captured, capture, Running } from './processes.ts';
import { repository } from './program.ts';
import { until } from './until.ts';

/** Where `scripts/ci/install-systemd-machine` makes the machine's folder. */
const machineFolder = '/opt/labrun-ci/systemd-machine';

/** Where the machine finds the repository and Node. */
const labrun = ['/usr/local/bin/node', '/opt/labrun/dist/labrun.js'] as const;

/** Answers why no machine can be booted here, or nothing. */
export function machineProblem(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can boot a machine';
  if (!existsSync(join(machineFolder, 'etc/labrun-ci-complete'))) {
    return 'no machine was made (scripts/ci/install-systemd-machine makes one)';
  }
  return existsSync('/usr/bin/systemd-nspawn') ? undefined : 'systemd-nspawn is not installed';
}

/** A machine that is busy with other tests boots slowly. */
const bootMaxMs = 120_000;

/** A booted Debian with systemd, in a container without a network; what is changed in it is gone with it. */
export class SystemdMachine {
  readonly #folder: string;
  readonly #kept: string | undefined;
  #container: Running | undefined;
  #init = 0;
  #group = '';

  private constructor(folder: string, kept: string | undefined) {
    this.#folder = folder;
    this.#kept = kept;
  }

  /** Boots one for this test; `kept` is a folder in it that outlives a crash. Rejects when it does not come up within two minutes. */
  static async boot({ kept }: { readonly kept?: string } = {}): Promise<SystemdMachine> {
    const folder = mkdtempSync(join(tmpdir(), 'machine-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const machine = new SystemdMachine(folder, kept);
    onTestFinished(async () => {
      await machine.#cutPower();
      await until('nothing is left in the machine', () => removeGroup(machine.#group));
    });
    await machine.#start();
    return machine;
  }

  /** The power goes, without a word to anyone, and comes back. */
  async crash(): Promise<void> {
    await this.#cutPower();
    await this.#start();
  }

  /** A machine that is asked to stop waits for whatever does not want to. */
  async #cutPower(): Promise<void> {
    const container = this.#container;
    const init = this.#init;
    this.#init = 0;
    if (!container || container.ended) return;
    if (init === 0) {
      await container.stop();
      return;
    }
    // The kernel ends everything else of a container together with its first process.
    process.kill(init, 'SIGKILL');
    await container.exited;
  }

  async #start(): Promise<void> {
    const options = ['--quiet', '--register=no', '--keep-unit', '--private-network', '--console=pipe', '--boot'];
    const mounts = [
      '--volatile=overlay',
      `--bind-ro=${repository}:/opt/labrun`,
      `--bind-ro=${process.execPath}:${labrun[0]}`,
      ...(this.#kept === undefined ? [] : [`--bind=${this.#folder}:${this.#kept}`]),
    ];
    const names = [`--machine=${basename(this.#folder)}`, `--directory=${machineFolder}`];
    this.#group = makeGroup(basename(this.#folder));
    // Machines that boot in one control group share what is below it, and each of their first processes believes it its own.
    const alone = ['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', this.#group];
    const container = new Running([...alone, 'systemd-nspawn', ...options, ...mounts, ...names], {
      env: { PATH: process.env['PATH'] ?? '', SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
    });
    this.#container = container;
    this.#init = await until(
      () => `a machine boots:\n${container.lines.join('\n')}`,
      () => firstOf(container.pid),
      bootMaxMs,
    );
    await until(
      'systemd has started everything',
      async () => {
        const { stdout } = await this.run(['systemctl', 'is-system-running']);
        return /^(running|degraded)/.test(stdout);
      },
      bootMaxMs,
    );
  }

  /** Runs a command in it as root and answers what it left. */
  run(argv: readonly string[], options: { readonly input?: string } = {}): Promise<Captured> {
    return capture(this.inside(argv), { env: machineEnv, ...options });
  }

  /** Starts a command in it as root; it ends with the machine, if not before. */
  start(argv: readonly string[], options: { readonly typed?: boolean } = {}): Running {
    const started = new Running(this.inside(argv), { env: machineEnv, ...options });
    // What brings a command into a machine does not always notice that the machine has gone.
    onTestFinished(async () => {
      await started.stop(1_000);
    });
    return started;
  }

  /** The command that runs another in it as root. */
  inside(argv: readonly string[]): readonly string[] {
    return ['nsenter', '--target', String(this.#init), '--all', '--', ...argv];
  }

  /** Like `run`; answers what it printed, and rejects when it did not end well. */
  async ok(argv: readonly string[], options: { readonly input?: string } = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(argv, options);
    if (code !== 0) throw new Error(`"${argv.join(' ')}" ended with ${code}: ${stdout}${stderr}`);
    return stdout;
  }

  /** Runs this program in it, as `account`. */
  labrun(args: readonly string[], account = 'root'): Promise<string> {
    return this.ok(['runuser', '-u', account, '--', ...labrun, ...args]);
  }
}

const machineEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };

/** A control group of its own below that of the tests. */
function makeGroup(name: string): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  const [, mount = '/sys/fs/cgroup'] = /^\S+ (\S+) cgroup2 /m.exec(mounts) ?? [];
  const [, own = '/'] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? [];
  const group = join(mount, own, name);
  mkdirSync(group, { recursive: true });
  return group;
}

/** Its first process: the child of the container's own that has numbers of processes to itself. One that prepares it comes before. */
function firstOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return children.map(Number).find((child) => numbersOf(child) !== numbersOf('self'));
}

function numbersOf(pid: number | 'self'): string {
  return readlinkSync(`/proc/${pid}/ns/pid`);
}
