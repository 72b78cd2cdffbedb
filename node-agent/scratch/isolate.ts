import { existsSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../base/errors.ts';
import type { ProcessRequest } from '../ports.ts';
import type { AttemptFolders } from './attempt-folders.ts';
import { standardPath } from './environment.ts';
import { lateEnvironment, type Owner } from './late-environment.ts';

/** What an isolated job (or build) is put behind. */
export interface Isolation {
  /** The agent's data folder: nothing of it is seen but what belongs to the job. */
  readonly root: string;
  readonly folders: AttemptFolders;
  /** The finished build that the job is laid over. */
  readonly build: string | undefined;
  /** Whether it was granted GPUs, whose devices it then needs. */
  readonly hasGpus: boolean;
  /** Who runs it, when that is not the agent itself. */
  readonly owner: Owner | undefined;
  /** Where it finds its environment, in the home; by default "environment.sh". */
  readonly environmentFile?: string;
  /** Folders of software besides the system's, as the agent's settings name them. */
  readonly readable: readonly string[];
}

/** What a system is made of; links (as where /bin is in /usr) stay links. */
const systemFolders = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/sys'];
/** In `/etc`, but nothing that a job has to do with. An agent that runs as root could read them. */
const secrets = [
  '/etc/shadow',
  '/etc/gshadow',
  '/etc/shadow-',
  '/etc/gshadow-',
  '/etc/ssh',
  '/etc/ssl/private',
  '/etc/krb5.keytab',
];

/**
 * The same process behind bubblewrap: it sees the system read-only, its own folders, its build and a `/tmp` of its own,
 * and no home, no other attempt, nothing of the agent and no foreign process. The network stays (licences are
 * asked for there). Throws `Fault` (`capability-gone`) when bubblewrap is not there any more.
 */
export function isolate(request: ProcessRequest, isolation: Isolation): ProcessRequest {
  const { folders } = isolation;
  const argv = [
    bubblewrap(),
    ...['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--cap-drop', 'ALL'],
    ...systemFolders.flatMap(bindSystem),
    ...isolation.readable.flatMap((folder) => ['--ro-bind-try', folder, folder]),
    ...secrets.filter((path) => existsSync(path)).flatMap(hide),
    ...['--ro-bind-try', '/run/systemd/resolve', '/run/systemd/resolve'],
    ...['--proc', '/proc', '--dev', '/dev', ...(isolation.hasGpus ? gpuDevices() : [])],
    ...['--bind', folders.tmp, '/tmp', '--bind', folders.tmp, '/var/tmp'],
    ...['--tmpfs', isolation.root],
    ...['--ro-bind', folders.home, folders.home],
    ...(isolation.build === undefined ? [] : ['--ro-bind', isolation.build, isolation.build]),
    ...writable(folders).flatMap((folder) => ['--bind', folder, folder]),
    ...['--remount-ro', isolation.root, '--chdir', request.cwd],
    ...lateEnvironment(
      join(folders.home, isolation.environmentFile ?? 'environment.sh'),
      request.env,
      request.argv,
      isolation.owner,
    ),
  ];
  return { ...request, argv, env: { PATH: standardPath } };
}

/** An archive that is a link leads into the working folder, which is bound itself. */
function writable({ work, archive, tmp, userHome }: AttemptFolders): readonly string[] {
  return [work, tmp, userHome, archive].filter((folder) => lstatSync(folder, { throwIfNoEntry: false })?.isDirectory());
}

function bubblewrap(): string {
  const found = standardPath
    .split(':')
    .map((folder) => join(folder, 'bwrap'))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Fault('capability-gone', 'this node has no bubblewrap any more');
  return found;
}

function bindSystem(folder: string): readonly string[] {
  const facts = lstatSync(folder, { throwIfNoEntry: false });
  if (facts === undefined) return [];
  return facts.isSymbolicLink() ? ['--symlink', readlinkSync(folder), folder] : ['--ro-bind', folder, folder];
}

function hide(path: string): readonly string[] {
  return lstatSync(path).isDirectory() ? ['--tmpfs', path] : ['--ro-bind', '/dev/null', path];
}

function gpuDevices(): readonly string[] {
  const names = readdirSync('/dev').filter((name) => name.startsWith('nvidia') || name === 'dri' || name === 'kfd');
  return names.flatMap((name) => ['--dev-bind', join('/dev', name), join('/dev', name)]);
}
