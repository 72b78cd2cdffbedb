import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Fault, isSystemError } from '../base/errors.ts';
import { makeFolderSync } from '../base/make-folder.ts';
import { polkitRulePath, polkitRules } from './polkit-rule.ts';
import { accountComment, deskUnitPath, type Found, type Step, slicePath } from './service-plan.ts';
import { deskUnitName, type Service, unitName } from './service-unit.ts';

/** Longest that one of the system's own programs may take, in milliseconds: stopping a head waits for its disk. */
const commandMs = 120_000;

/** Looks at what this machine has already of a service, whose settings name this group. Throws the system's error where it may not look. */
export function lookAtMachine(service: Service, settingsGroup?: string): Found {
  const [, , uid, gid, comment] = entry('passwd', service.account) ?? [];
  return {
    account:
      uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid), ours: comment === accountComment(service) },
    groupExists: entry('group', service.account) !== undefined,
    folder: lookAtFolder(service.dataFolder),
    unit: textOf(`/etc/systemd/system/${unitName(service)}`),
    enabled: spawnSync('systemctl', ['is-enabled', '--quiet', unitName(service)], { timeout: commandMs }).status === 0,
    deskGroupExists: service.deskGroup !== undefined && entry('group', service.deskGroup) !== undefined,
    slice: textOf(slicePath),
    hasPolkit: statSync(polkitRules, { throwIfNoEntry: false }) !== undefined,
    polkitRule: textOf(polkitRulePath),
    deskUnit: textOf(deskUnitPath),
    deskEnabled:
      spawnSync('systemctl', ['--global', 'is-enabled', '--quiet', deskUnitName], { timeout: commandMs }).status === 0,
    hasSettings: textOf(join(service.dataFolder, 'agent.yaml')) !== undefined,
    settingsGroup,
    unreachable: findUnreachable([...service.command, service.dataFolder]),
    processes: uid === undefined ? 0 : processesOf(Number(uid)),
  };
}

/** The groups of this list that the machine has. */
export function existingGroups(names: readonly string[]): readonly string[] {
  return names.filter((name) => entry('group', name) !== undefined);
}

/** Whether systemd runs this machine. */
export function hasSystemd(): boolean {
  return statSync('/run/systemd/system', { throwIfNoEntry: false }) !== undefined;
}

/** Makes one change. Throws `Fault` (`install-failed`) with what the system's program said. */
export function doStep(step: Step): void {
  switch (step.kind) {
    case 'run':
      return runCommand(step.argv);
    case 'folder': {
      const [, , uid, gid] = entry('passwd', step.account) ?? [];
      makeFolderSync(dirname(step.path));
      makeFolderSync(step.path, step.mode);
      chmodSync(step.path, step.mode);
      return chownSync(step.path, Number(uid), Number(gid));
    }
    case 'write':
      return writeFileSync(step.path, step.text, { mode: 0o644 });
    case 'remove':
      return rmSync(step.path, { recursive: true, force: true });
  }
}

function runCommand(argv: readonly string[]): void {
  const [command = '', ...args] = argv;
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: commandMs });
  if (result.status === 0) return;
  const why = result.error?.message ?? `${result.stderr}${result.stdout}`.trim();
  throw new Fault(
    'install-failed',
    `Cannot go on: "${argv.join(' ')}" ended with ${result.signal ?? result.status}: ${why}`,
  );
}

/** A line of the system's databases, which need not be files; nothing when there is no such name. */
function entry(database: 'passwd' | 'group', name: string): readonly string[] | undefined {
  const result = spawnSync('getent', [database, name], { encoding: 'utf8', timeout: commandMs });
  if (result.error) throw new Fault('install-failed', `Cannot look for "${name}": ${result.error.message}`);
  return result.status === 0 ? result.stdout.trimEnd().split(':') : undefined;
}

function lookAtFolder(path: string): Found['folder'] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return undefined;
  if (!stat.isDirectory()) throw new Fault('install-failed', `Cannot use "${path}": it is no directory`);
  return { uid: stat.uid, gid: stat.gid, mode: stat.mode & 0o7777, isEmpty: isEmpty(path) };
}

/** A folder that may not be looked into belongs to somebody, and counts as used. */
function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0;
  } catch (error) {
    if (isSystemError(error, 'EACCES')) return false;
    throw error;
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** The first folder above one of these paths that others may not pass, or a file that they may not read. */
function findUnreachable(paths: readonly string[]): Found['unreachable'] {
  for (const path of paths) {
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      const stat = statSync(folder, { throwIfNoEntry: false });
      if (stat && (stat.mode & 0o001) === 0) return { path, closed: folder };
      if (folder === '/') break;
    }
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() && (stat.mode & 0o004) === 0) return { path, closed: path };
  }
  return undefined;
}

function processesOf(uid: number): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === uid).length;
}
