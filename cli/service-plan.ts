import { type Refusal, refused } from '../base/errors.ts';
import { polkitRulePath, polkitRuleText } from './polkit-rule.ts';
import {
  deskUnitName,
  deskUnitText,
  pathProblem,
  type Service,
  sliceName,
  sliceText,
  unitName,
  unitText,
} from './service-unit.ts';

/** What a machine has already of what a service needs. */
export interface Found {
  /** Numbers and home of the account, and whether it was made by us. */
  readonly account: { readonly uid: number; readonly gid: number; readonly ours: boolean } | undefined;
  readonly groupExists: boolean;
  /** Whether there is the group of the desk. */
  readonly deskGroupExists: boolean;
  readonly folder:
    | { readonly uid: number; readonly gid: number; readonly mode: number; readonly isEmpty: boolean }
    | undefined;
  /** The unit's text as it is now. */
  readonly unit: string | undefined;
  readonly enabled: boolean;
  /** The text of the slice that jobs are in. */
  readonly slice: string | undefined;
  /** The text of the unit of desktop sessions as it is now, and whether sessions start it. */
  readonly deskUnit: string | undefined;
  readonly deskEnabled: boolean;
  /** Whether polkit decides here, and the text of its rule of ours as it is now. */
  readonly hasPolkit: boolean;
  readonly polkitRule: string | undefined;
  /** Whether the agent has settings of its own. */
  readonly hasSettings: boolean;
  /** The group of the desk that they name. */
  readonly settingsGroup: string | undefined;
  /** Of the program's files and the data folder: one that others cannot reach, and the folder that is closed. */
  readonly unreachable: { readonly path: string; readonly closed: string } | undefined;
  /** Processes of the account, as many as there are. */
  readonly processes: number;
}

/** One change of the machine. */
export type Step =
  | { readonly kind: 'run'; readonly argv: readonly string[] }
  /** Made with the folders above it, or changed; owned by the account's user and group. */
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number; readonly account: string }
  | { readonly kind: 'write'; readonly path: string; readonly text: string }
  | { readonly kind: 'remove'; readonly path: string };

/** Where an account made here says so, in the field for a person's name. */
export function accountComment(service: Pick<Service, 'kind'>): string {
  return `labrun ${service.kind} service`;
}

/** What is missing for the service to be started; no steps when nothing is. */
export function installSteps(service: Service, found: Found): readonly Step[] | Refusal {
  const problem = installProblem(service, found);
  if (problem !== undefined) return refused('invalid', `Cannot install the ${service.kind}: ${problem}`);
  const { account, dataFolder } = service;
  const { folder } = found;
  const folderMode = service.deskGroup === undefined ? closedMode : passableMode;
  const isRight = folder?.mode === folderMode && folder.uid === found.account?.uid && folder.gid === found.account?.gid;
  const path = unitPath(service);
  const text = unitText(service);
  return [
    ...(found.account ? [] : [run(...useradd(service, found.groupExists))]),
    ...(isRight ? [] : [{ kind: 'folder', path: dataFolder, mode: folderMode, account } as const]),
    ...(service.kind === 'head' || found.slice === sliceText
      ? []
      : [{ kind: 'write', path: slicePath, text: sliceText } as const]),
    ...(found.unit === text ? [] : [{ kind: 'write', path, text } as const, run('systemctl', 'daemon-reload')]),
    ...(found.enabled ? [] : [run('systemctl', 'enable', unitName(service))]),
    ...sleepSteps(service, found),
    ...deskSteps(service, found),
  ];
}

/** What lets the agent keep its machine awake while a job runs. */
function sleepSteps({ kind, account }: Service, found: Found): readonly Step[] {
  const text = polkitRuleText(account);
  if (kind !== 'agent' || !found.hasPolkit || found.polkitRule === text) return [];
  return [{ kind: 'write', path: polkitRulePath, text }];
}

/** What lets people at this machine speak with its agent, and their sessions tell it of them. */
function deskSteps(service: Service, found: Found): readonly Step[] {
  const { deskGroup, dataFolder } = service;
  if (deskGroup === undefined) return [];
  const text = deskUnitText(service);
  const settings = `desk:\n  group: ${deskGroup} # whose members may pause what runs here; docs/desk.md\n`;
  return [
    ...(found.hasSettings ? [] : [{ kind: 'write', path: `${dataFolder}/agent.yaml`, text: settings } as const]),
    ...(found.deskUnit === text ? [] : [{ kind: 'write', path: deskUnitPath, text } as const]),
    ...(found.deskEnabled ? [] : [run('systemctl', '--global', 'enable', deskUnitName)]),
  ];
}

/** Where the slice is. */
export const slicePath = `/etc/systemd/system/${sliceName}`;
/** Where systemd looks for units of people's sessions. */
export const deskUnitPath = `/etc/systemd/user/${deskUnitName}`;

/** Stops the service and takes its unit away; its jobs go on. */
export function unitRemoval(service: Service, found: Found): readonly Step[] {
  if (found.unit === undefined) return [];
  const ofDesk = service.kind === 'agent' && found.deskUnit !== undefined;
  return [
    ...(ofDesk
      ? [run('systemctl', '--global', 'disable', deskUnitName), { kind: 'remove', path: deskUnitPath } as const]
      : []),
    run('systemctl', 'disable', '--now', unitName(service)),
    { kind: 'remove', path: unitPath(service) },
    ...(service.kind === 'agent' && found.polkitRule !== undefined
      ? [{ kind: 'remove', path: polkitRulePath } as const]
      : []),
    ...(service.kind === 'agent' && found.slice !== undefined ? [{ kind: 'remove', path: slicePath } as const] : []),
    run('systemctl', 'daemon-reload'),
  ];
}

/** Whether its data goes with the service: when there is none, or when it is to. */
export function dropsData(found: Found, purge: boolean): boolean {
  return found.folder === undefined || found.folder.isEmpty || purge;
}

/**
 * Removes the data of a stopped service and then the account, if it was made here. An account never goes without its
 * data: the next one made could get its number, and everything with it.
 */
export function dataRemoval(service: Service, found: Found, purge: boolean): readonly Step[] | Refusal {
  const { account, dataFolder } = service;
  if (!dropsData(found, purge)) return [];
  if (found.account === undefined || (found.folder && found.folder.uid !== found.account.uid)) {
    if (found.folder === undefined || !purge) return [];
    return refused(
      'conflict',
      `Cannot remove "${dataFolder}": it does not belong to "${account}"; remove it yourself if you are sure`,
    );
  }
  if (found.processes > 0) {
    return refused(
      'conflict',
      `Cannot remove the data of "${account}": ${found.processes} of its processes still run; cancel its jobs or end them, then do this again`,
    );
  }
  return [
    ...(found.folder ? [{ kind: 'remove', path: dataFolder } as const] : []),
    ...(found.account.ours ? [run('userdel', account)] : []),
  ];
}

/** The steps as a person would type them. */
export function stepText(step: Step): string {
  switch (step.kind) {
    case 'run':
      return step.argv.map(shellWord).join(' ');
    case 'folder': {
      const mode = step.mode.toString(8).padStart(4, '0');
      return `install -d -m ${mode} -o ${step.account} -g ${step.account} ${shellWord(step.path)}`;
    }
    case 'write':
      return `cat > ${shellWord(step.path)} <<'END'\n${step.text}END`;
    case 'remove':
      return `rm -rf ${shellWord(step.path)}`;
  }
}

/** Nobody else looks into a data folder: keys, other people's inputs and jobs lie there. */
const closedMode = 0o700;
/** People come through it to the desk's socket; the agent closes everything else in it. */
const passableMode = 0o711;

function installProblem(service: Service, found: Found): string | undefined {
  const { account, dataFolder, command, writable } = service;
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(account)) {
    return `"${account}" is no name of an account: small letters, digits, _ and -, 32 at most`;
  }
  if (account === 'root' || found.account?.uid === 0) {
    return 'it never runs as root; leave --user out, and an account of its own is made';
  }
  if (service.deskGroup !== undefined && !found.deskGroupExists) {
    return `there is no group "${service.deskGroup}"; make it with: groupadd ${shellWord(service.deskGroup)}`;
  }
  if (found.settingsGroup !== undefined && found.settingsGroup !== service.deskGroup) {
    return `"${dataFolder}/agent.yaml" names the group "${found.settingsGroup}"; change desk.group there first, or leave --desk-group out`;
  }
  for (const path of [dataFolder, ...command, ...writable]) {
    const problem = pathProblem(path);
    if (problem !== undefined) return `${JSON.stringify(path)} ${problem}`;
  }
  if (found.unreachable) {
    const { path, closed } = found.unreachable;
    return `"${account}" could not reach "${path}", because "${closed}" is closed to others; put it where everyone may read`;
  }
  if (found.folder && !found.folder.isEmpty && found.folder.uid !== found.account?.uid) {
    return `"${dataFolder}" is in use and does not belong to "${account}"; name another folder with --data, or give it away with: chown -R ${account}: ${shellWord(dataFolder)}`;
  }
  return undefined;
}

function useradd(service: Service, groupExists: boolean): readonly string[] {
  const { account, dataFolder } = service;
  const group = groupExists ? ['--gid', account] : ['--user-group'];
  const home = ['--home-dir', dataFolder, '--no-create-home', '--shell', '/usr/sbin/nologin'];
  return ['useradd', '--system', ...group, ...home, '--comment', accountComment(service), account];
}

/** Where the unit of a service is. */
export function unitPath(service: Pick<Service, 'kind'>): string {
  return `/etc/systemd/system/${unitName(service)}`;
}

function run(...argv: readonly string[]): Step {
  return { kind: 'run', argv };
}

function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@=+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
