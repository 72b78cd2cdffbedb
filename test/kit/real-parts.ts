import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'vitest';
import { type CgroupVersion, freezerOf, makeGroupsFolder, removeGroup } from '../../node-agent/executor/cgroup.ts';
import { fakeTime } from './fake-time.ts';
import type { User } from './processes.ts';
import { program } from './program.ts';
import { trySmallDisk } from './small-disk.ts';
import { machineProblem } from './systemd-machine.ts';
import { apptainerRunOptions, buildTinyImage } from './tiny-image.ts';

/** Programs that are not labrun's and that some tests use for real. */
export type PartName = keyof typeof probes;

/** Whether a part works on this machine, as found by running it once. */
export interface RealPart {
  readonly name: PartName;
  readonly available: boolean;
  /** What it answered, or why it does not work. */
  readonly why: string;
}

const known = new Map<PartName, RealPart>();

/** Runs the part once (a few milliseconds to two seconds) and remembers the answer for this process. */
export function realPart(name: PartName): RealPart {
  const part = known.get(name) ?? probe(name);
  known.set(name, part);
  return part;
}

/**
 * `it` for tests that need parts: skipped, with the reason printed, where one is missing; failing instead where
 * `LABRUN_REQUIRE` (names separated by commas) asks for that part.
 */
export function itWith(...names: readonly PartName[]) {
  return (sentence: string, test: (context: TestContext) => Promise<void> | void, timeoutMs?: number): void => {
    const missing = names.map(realPart).filter((part) => !part.available);
    const required = (process.env['LABRUN_REQUIRE'] ?? '').split(',');
    const fatal = missing.find((part) => required.includes(part.name));
    if (fatal !== undefined) {
      it(sentence, () => {
        throw new Error(`"${fatal.name}" is required (LABRUN_REQUIRE) and does not work: ${fatal.why}`);
      });
      return;
    }
    if (missing.length > 0) {
      it.skip(`${sentence} [skipped: ${missing.map(({ name, why }) => `${name}: ${why}`).join('; ')}]`, test);
      return;
    }
    it(sentence, test, timeoutMs);
  };
}

/** Someone whom modes of files hold back: nobody where the tests run as root, else whoever runs them. */
export function plainUser(): User | undefined {
  return process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
}

/** Accounts and a group that every Debian has, as people at one machine; the stranger is in no group of theirs. */
export const deskAccounts = {
  group: 'games',
  members: [
    { name: 'daemon', uid: 1, gid: 60 },
    { name: 'www-data', uid: 33, gid: 60 },
  ],
  stranger: { name: 'nobody', uid: 65_534, gid: 65_534 },
} as const;

/** Starts so many ranks, though there be fewer cores, and whoever we are. */
export const mpirun = ['mpirun', '--allow-run-as-root', '--oversubscribe', '-np'] as const;

const probes = {
  python3: () => output(['python3', '-c', 'print(6 * 7)'], '42'),
  cc: (folder: string) => compiled(folder, 'cc', 'probe.c', '#include <stdio.h>\nint main(void){puts("42");}\n'),
  gfortran: (folder: string) => compiled(folder, 'gfortran', 'probe.f90', "print '(i2)', 42\nend\n"),
  // OpenFOAM's programs start only when told where their project lies.
  openfoam: () => output(['blockMesh', '-help'], 'OpenFOAM', { WM_PROJECT_DIR: '/usr/share/openfoam' }),
  apptainer: (folder: string) => {
    const image = join(folder, 'probe.sif');
    buildTinyImage(image);
    return output(['apptainer', 'exec', ...apptainerRunOptions(), image, '/bin/echo', '42'], '42');
  },
  mpi: (folder: string) => {
    const [file, source] = [join(folder, 'probe'), join(folder, 'probe.c')];
    writeFileSync(source, '#include <mpi.h>\nint main(void){MPI_Init(0,0);return MPI_Finalize();}\n');
    output(['mpicc', '-o', file, source], '');
    return output([...mpirun, '2', 'sh', '-c', `${file} && echo 42`], '42');
  },
  ssh: (folder: string) => {
    const key = join(folder, 'key');
    output(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key], '');
    mkdirSync('/run/sshd', { recursive: true });
    output(['/usr/sbin/sshd', '-t', '-f', '/dev/null', '-h', key], '');
    return output(['ssh', '-V'], 'OpenSSH');
  },
  'ssh-keygen': (folder: string) =>
    output(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')], ''),
  // Debian's own Python: others on PATH do not see its modules.
  grpcio: () => {
    output(['protoc', '--version'], 'libprotoc');
    return output(['/usr/bin/python3', '-c', 'import grpc, google.protobuf; print(42)'], '42');
  },
  netns: () => {
    const space = `labrun-probe-${process.pid}`;
    output(['ip', 'netns', 'add', space], '');
    output(['ip', 'netns', 'del', space], '');
    output(['iptables', '--version'], 'iptables');
    output(['tc', '-V'], 'iproute2');
    return output(['tcpdump', '--version'], 'tcpdump');
  },
  // A terminal for programs that want one; part of every Debian.
  script: () => output(['script', '-qec', 'tty', '/dev/null'], '/dev/pts/'),
  rsync: () => output(['rsync', '--version'], 'rsync'),
  // Where the repository lies in a folder that others may not enter, no other user can run the program.
  'plain user': () => output([process.execPath, program, '--help'], 'labrun', {}, plainUser()),
  'desk accounts': () => {
    if (process.getuid?.() !== 0) throw new Error('only root can be several people');
    const { group, members, stranger } = deskAccounts;
    output(['getent', 'group', group], `${group}:x:60:`);
    for (const { name, uid } of [...members, stranger]) output(['getent', 'passwd', name], `${name}:x:${uid}:`);
    return output([process.execPath, program, '--help'], 'labrun', {}, stranger);
  },
  systemd: () => {
    const problem = machineProblem();
    if (problem !== undefined) throw new Error(problem);
    return output(['systemd-nspawn', '--version'], 'systemd');
  },
  'small disk': () => trySmallDisk(),
  'cgroup-v2 freezer': () => freezer('v2'),
  'cgroup-v1 freezer': () => freezer('v1'),
  bubblewrap: () =>
    output(['bwrap', '--ro-bind', '/', '/', '--unshare-pid', '--proc', '/proc', '--dev', '/dev', 'echo', '42'], '42'),
  faketime: () => output(['node', '-p', 'new Date().getFullYear()'], '2001', fakeTime('@2001-01-02 03:04:05')),
  zsh: () => output(['zsh', '-fc', 'autoload -U +X compinit && compinit -u -D; print 42'], '42'),
  fish: () => output(['fish', '--no-config', '-c', 'echo 42'], '42'),
  // Asked for its version, either ends with an error where there is no display.
  x11: () => output(['sh', '-c', 'command -v Xvfb && command -v xdotool'], 'xdotool'),
  dbusmock: () => {
    output(['dbus-daemon', '--version'], 'D-Bus');
    return output(['/usr/bin/python3', '-c', 'import dbusmock; print(42)'], '42');
  },
  // A compositor without a screen, and a keyboard that a program types on.
  sway: () => {
    output(['sh', '-c', 'command -v wtype'], 'wtype');
    return output(['sway', '--version'], 'sway');
  },
  tmux: () => output(['tmux', '-V'], 'tmux'),
  vi: () => output(['sh', '-c', 'command -v vi'], 'vi'),
  'node-pty': () => output([process.execPath, '-p', 'typeof require("node-pty").spawn'], 'function'),
  perl: () => output(['perl', '-e', 'print 6 * 7'], '42'),
} as const;

function probe(name: PartName): RealPart {
  const folder = mkdtempSync(join(tmpdir(), 'labrun-part-'));
  try {
    return { name, available: true, why: probes[name](folder) };
  } catch (error) {
    return { name, available: false, why: error instanceof Error ? error.message : String(error) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first line a program prints; throws when it fails or does not print what it must. */
function output(argv: readonly string[], mustHold: string, env: Record<string, string> = {}, user?: User): string {
  const [command = '', ...args] = argv;
  const options = { timeout: 30_000, env: { ...process.env, ...env }, ...user };
  const result = spawnSync(command, args, { encoding: 'utf8', ...options });
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim();
  if (result.error) throw new Error(result.error.message);
  if (result.status !== 0 || !said.includes(mustHold)) {
    throw new Error(`"${argv.join(' ')}" ended with ${result.signal ?? result.status}: ${said.slice(-300)}`);
  }
  return said.split('\n')[0] ?? '';
}

/** Whether groups can be made, by whoever runs the tests, that the kernel stops. */
function freezer(version: CgroupVersion): string {
  const group = makeGroupsFolder(version, `labrun-probe-${process.pid}`);
  if (group === undefined) throw new Error(`no control groups of ${version} in which we may make any`);
  try {
    if (freezerOf(group)?.version !== version) throw new Error(`the kernel has no freezer in "${group}"`);
    return group;
  } finally {
    removeGroup(group);
  }
}

function compiled(folder: string, compiler: string, name: string, source: string): string {
  writeFileSync(join(folder, name), source);
  output([compiler, '-o', join(folder, 'probe'), join(folder, name)], '');
  return output([join(folder, 'probe')], '42');
}
