import { dirname } from 'node:path';

/** What a systemd unit of ours is written from. Paths are absolute. */
export interface Service {
  readonly kind: 'head' | 'agent';
  /** The account it runs as, and its group of the same name. */
  readonly account: string;
  readonly dataFolder: string;
  /** Other folders that it writes: an archive that lies elsewhere. */
  readonly writable: readonly string[];
  /** Node and the program, as they are started. */
  readonly command: readonly [node: string, program: string];
  /** Where the head is, for an agent that is told so here; one that has joined knows. */
  readonly head: string | undefined;
  /** Groups that let jobs use devices, such as `render`; those the machine has. */
  readonly deviceGroups: readonly string[];
  /** Jobs may use set-user-id programs, which some installations of Apptainer need. */
  readonly allowSetuid: boolean;
  /** Whose members may pause the agent; nothing for nobody. */
  readonly deskGroup: string | undefined;
}

/** The name of a service's unit. */
export function unitName(service: Pick<Service, 'kind'>): string {
  return `labrun-${service.kind}.service`;
}

/** The text of a service's unit. docs/services.md says why each line is, or is not, there. */
export function unitText(service: Service): string {
  const { account } = service;
  return [
    `# Written by "labrun ${service.kind} install", which writes it again: put changes into "systemctl edit ${unitName(service)}".`,
    '[Unit]',
    `Description=labrun ${service.kind}`,
    'Wants=network-online.target',
    'After=network-online.target',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    `User=${account}`,
    `Group=${account}`,
    `ExecStart=${startLine(service)}`,
    'Restart=always',
    'RestartSec=5',
    ...(service.kind === 'agent' ? agentLines(service) : headLines(service)),
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
}

/** The name of the unit that every desktop session starts. */
export const deskUnitName = 'labrun-desk.service';

/** The text of that unit: it tells the agent when somebody acts in the session. */
export function deskUnitText(service: Service): string {
  return [
    '# Written by "labrun agent install", which writes it again.',
    '[Unit]',
    'Description=labrun: tells the agent of this machine when somebody uses this session',
    'PartOf=graphical-session.target',
    'After=graphical-session.target',
    '',
    '[Service]',
    `ExecStart=${line([...service.command, 'desk', 'helper', '--data', service.dataFolder])}`,
    'Restart=on-failure',
    'RestartSec=30',
    '# Somebody whom the agent does not let in is told once.',
    'RestartPreventExitStatus=4',
    '',
    '[Install]',
    'WantedBy=graphical-session.target',
    '',
  ].join('\n');
}

/** The slice that jobs are in, beside those of people and of the system. */
export const sliceName = 'labrun.slice';

/** The text of that slice: weights count among siblings, and people's programs are in a slice at the top. */
export const sliceText = `# Written by "labrun agent install", which writes it again.
[Unit]
Description=Jobs of labrun, which have what nobody else wants
Before=slices.target

[Slice]
CPUWeight=1
IOWeight=1
`;

/** Why a path cannot stand in a unit; nothing when it can. */
export function pathProblem(path: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return /[\u0000-\u001f\u007f]/.test(path) ? 'has a control character in its name' : undefined;
}

/** The agent's jobs live in its unit: everything here holds for them, too, and has to leave them what they need. */
function agentLines(service: Service): readonly string[] {
  const groups = [...service.deviceGroups, ...(service.deskGroup === undefined ? [] : [service.deskGroup])].join(' ');
  return [
    '# Jobs outlive the agent: its end, its restart and the end of one of them concern nobody else in the unit.',
    'KillMode=process',
    'Delegate=yes',
    'OOMPolicy=continue',
    'TasksMax=infinity',
    `Slice=${sliceName}`,
    ...(groups === '' ? [] : [`SupplementaryGroups=${groups}`]),
    '',
    'ProtectSystem=strict',
    `ProtectHome=${homeProtection(service)}`,
    `ReadWritePaths=${['/tmp', '/var/tmp', service.dataFolder, ...service.writable].map(quoted).join(' ')}`,
    ...(service.allowSetuid ? [] : withoutSetuid),
  ];
}

/** Each of these keeps set-user-id programs from working, for a service that is not root. */
const withoutSetuid: readonly string[] = [
  'NoNewPrivileges=yes',
  'CapabilityBoundingSet=',
  'ProtectKernelModules=yes',
  'RestrictRealtime=yes',
  'SystemCallFilter=~@clock @module @reboot @swap @obsolete',
  'SystemCallErrorNumber=EPERM',
];

/** The head starts no programs: it gets what it uses. */
function headLines(service: Service): readonly string[] {
  return [
    'UMask=0077',
    '',
    'ProtectSystem=strict',
    `ProtectHome=${homeProtection(service)}`,
    `ReadWritePaths=${[service.dataFolder, ...service.writable].map(quoted).join(' ')}`,
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'ProtectClock=yes',
    'ProtectControlGroups=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'ProtectProc=invisible',
    'LockPersonality=yes',
    'RemoveIPC=yes',
    'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallErrorNumber=EPERM',
  ];
}

/** What lies in a home must be seen; otherwise nothing there is the service's business. */
function homeProtection(service: Service): 'yes' | 'read-only' {
  const needed = [service.dataFolder, ...service.writable, ...service.command.map((file) => dirname(file))];
  return needed.some((path) => /^\/(home|root|run\/user)(\/|$)/.test(path)) ? 'read-only' : 'yes';
}

function startLine({ kind, command, dataFolder, head }: Service): string {
  const address = head === undefined ? [] : ['--head', head];
  return line([...command, kind, 'start', '--data', dataFolder, ...address]);
}

/** A command as a unit holds it. A dollar sign stands for a variable in such a line only. */
function line(argv: readonly string[]): string {
  return argv.map((text) => quoted(text).replaceAll('$', '$$$$')).join(' ');
}

/** As systemd reads words: backslashes and quotes escaped, a percent sign doubled, quotes where they are needed. */
function quoted(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%');
  return /^[A-Za-z0-9_./:@=+,%-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
