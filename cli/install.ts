import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { programFile } from '../base/assets.ts';
import { delay, systemClock } from '../base/clock.ts';
import { isSystemError, RefusedError, refused } from '../base/errors.ts';
import { readAgentSettings } from '../config/agent.ts';
import { readHeadSettings } from '../config/head.ts';
import { exitCodes } from './exit.ts';
import type { Printer } from './print.ts';
import { doStep, existingGroups, hasSystemd, lookAtMachine } from './service-machine.ts';
import { dataRemoval, dropsData, type Found, installSteps, type Step, stepText, unitRemoval } from './service-plan.ts';
import { type Service, unitName } from './service-unit.ts';

interface Options {
  readonly data: string;
  readonly user: string;
  readonly head?: string;
  readonly allowSetuid?: boolean;
  readonly deskGroup?: string | undefined;
  readonly dryRun?: boolean;
  readonly purge?: boolean;
}

/** Gives a service an account, a data folder and a systemd unit, as far as they are missing. */
export function install(kind: Service['kind']) {
  return async (_: readonly string[], options: Options, print: Printer): Promise<number> => {
    const settingsGroup = kind === 'agent' ? await groupInSettings(resolve(options.data)) : undefined;
    // Whoever installs a new release need not know what was chosen for the old one.
    const service = await describe(kind, { ...options, deskGroup: options.deskGroup ?? settingsGroup });
    if (!options.dryRun) demand(`install the ${kind}`);
    const found = lookAtMachine(service, settingsGroup);
    const steps = installSteps(service, found);
    if ('code' in steps) throw new RefusedError(steps);
    if (steps.length === 0) print.line('Nothing to do: everything is as it should be');
    carryOut(steps, options.dryRun ?? false, print);
    if (!options.dryRun) sayNext(service, found, print);
    return exitCodes.done;
  };
}

/** Takes the unit away again; with `--purge` the data and the account, too. Jobs that run go on. */
export function uninstall(kind: Service['kind']) {
  return async (_: readonly string[], options: Options, print: Printer): Promise<number> => {
    const service = await describe(kind, options);
    if (!options.dryRun) demand(`uninstall the ${kind}`);
    const { dryRun = false, purge = false } = options;
    const before = lookAtMachine(service);
    const removal = unitRemoval(service, before);
    carryOut(removal, dryRun, print);
    const found = dryRun ? { ...before, processes: 0 } : await whenQuiet(service, purge);
    const rest = dataRemoval(service, found, purge);
    if ('code' in rest) throw new RefusedError(rest);
    carryOut(rest, dryRun, print);
    if (!dropsData(found, purge)) {
      print.note(
        `Kept "${service.dataFolder}" and the account "${service.account}", whose it is; --purge removes both`,
      );
    } else if (removal.length + rest.length === 0) print.line('Nothing to do: it is not installed');
    return exitCodes.done;
  };
}

/** The machine once nothing of a service that was told to stop runs any more, or its jobs are all that does. */
async function whenQuiet(service: Service, purge: boolean): Promise<Found> {
  const endMs = systemClock.monotonicMs() + quietMs;
  for (;;) {
    const found = lookAtMachine(service);
    if (found.processes === 0 || !dropsData(found, purge) || systemClock.monotonicMs() > endMs) return found;
    await delay(systemClock, 100);
  }
}

/** How long the idle shells of an agent that has stopped may take to end, in milliseconds; nobody announces it. */
const quietMs = 5_000;

async function describe(kind: Service['kind'], options: Options): Promise<Service> {
  const dataFolder = resolve(options.data);
  return {
    kind,
    account: options.user,
    dataFolder,
    writable: kind === 'head' ? await archiveElsewhere(dataFolder) : [],
    command: [realpathSync(process.execPath), realpathSync(programFile())],
    head: kind === 'agent' ? options.head : undefined,
    // Not `video`: it opens cameras, too.
    deviceGroups: kind === 'agent' ? existingGroups(['render']) : [],
    allowSetuid: options.allowSetuid ?? false,
    deskGroup: kind === 'agent' ? options.deskGroup : undefined,
  };
}

/** The group of the desk that an agent's settings name; nothing where they may not be read. */
async function groupInSettings(dataFolder: string): Promise<string | undefined> {
  try {
    return (await readAgentSettings(join(dataFolder, 'agent.yaml'), { required: false })).desk.group;
  } catch (error) {
    if (isSystemError(error, 'EACCES')) return undefined; // only root installs; others see what would be done anew
    throw error;
  }
}

/** The archive of a head that was made already, when it does not lie in its data folder. */
async function archiveElsewhere(dataFolder: string): Promise<readonly string[]> {
  const { archiveFolder } = await readHeadSettings(dataFolder);
  return archiveFolder.startsWith(`${dataFolder}/`) ? [] : [archiveFolder];
}

function demand(deed: string): void {
  if (process.getuid?.() !== 0) {
    throw new RefusedError(
      refused(
        'denied',
        `Cannot ${deed}: only root can make accounts and units; use sudo, or --dry-run to see what would be done`,
      ),
    );
  }
  if (!hasSystemd()) {
    throw new RefusedError(
      refused(
        'unsupported',
        `Cannot ${deed}: systemd does not run this machine; --dry-run shows what another init system would need`,
      ),
    );
  }
}

function carryOut(steps: readonly Step[], dryRun: boolean, print: Printer): void {
  for (const step of steps) {
    if (!dryRun) doStep(step);
    print.line(dryRun || step.kind !== 'write' ? stepText(step) : `wrote ${step.path}`);
  }
}

function sayNext(service: Service, { hasSettings, settingsGroup }: Found, print: Printer): void {
  const { kind, account, dataFolder, head, deskGroup } = service;
  const as = `sudo -u ${account} labrun ${kind}`;
  if (kind === 'head') print.note(`Next, unless it was done: ${as} init --data ${dataFolder}`);
  else if (head === undefined)
    print.note(`Next, unless it was done: ${as} join HEAD:PORT --token T --data ${dataFolder}`);
  if (deskGroup !== undefined && hasSettings && settingsGroup === undefined)
    print.note(`In ${dataFolder}/agent.yaml, which was there: desk: {group: ${deskGroup}}`);
  print.note(`Then: systemctl start ${unitName({ kind })}`);
  if (deskGroup !== undefined)
    print.note(`Whoever may pause it: usermod -aG ${deskGroup} NAME, which counts from their next login on`);
}
