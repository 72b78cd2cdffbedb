import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { onTestFinished } from 'vitest';
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
  readonly #init: number;

  private constructor(init: number) {
    this.#init = init;
  }

  /** Boots one for this test. Rejects when it does not come up within two minutes. */
  static async boot(): Promise<SystemdMachine> {
    const folder = mkdtempSync(join(tmpdir(), 'machine-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const options = ['--quiet', '--register=no', '--keep-unit', '--private-network', '--console=pipe', '--boot'];
    const mounts = [
      '--volatile=overlay',
      `--bind-ro=${repository}:/opt/labrun`,
      `--bind-ro=${process.execPath}:${labrun[0]}`,
    ];
    const container = new Running(
      ['systemd-nspawn', ...options, ...mounts, `--machine=${basename(folder)}`, `--directory=${machineFolder}`],
      { env: { PATH: process.env['PATH'] ?? '', SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' } },
    );
    onTestFinished(async () => {
      await container.stop();
    });
    const init = await until(
      () => `a machine boots:\n${container.lines.join('\n')}`,
      () => childOf(container.pid),
      bootMaxMs,
    );
    const machine = new SystemdMachine(init);
    await until(
      'systemd has started everything',
      async () => {
        const { stdout } = await machine.run(['systemctl', 'is-system-running']);
        return /^(running|degraded)/.test(stdout);
      },
      bootMaxMs,
    );
    return machine;
  }

  /** Runs a command in it as root and answers what it left. */
  run(argv: readonly string[], options: { readonly input?: string } = {}): Promise<Captured> {
    const enter = ['nsenter', '--target', String(this.#init), '--all', '--'];
    return capture([...enter, ...argv], { env: machineEnv, ...options });
  }

  /** Starts a command in it as root; it ends with the machine, if not before. */
  start(argv: readonly string[]): Running {
    return new Running(['nsenter', '--target', String(this.#init), '--all', '--', ...argv], { env: machineEnv });
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

/** Its first process: the only child of the container's own. */
function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return children[0] ? Number(children[0]) : undefined;
}
