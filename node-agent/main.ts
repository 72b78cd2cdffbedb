import { chmod } from 'node:fs/promises';
import { arch, hostname, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { background } from '../base/background.ts';
import { type Address, plainProblem, readAddress } from '../base/channel/address.ts';
import { steadyClock, systemClock } from '../base/clock.ts';
import { Fault, messageOf, RefusedError, refused } from '../base/errors.ts';
import { asNodeId, type NodeId, ulid } from '../base/ids.ts';
import { type Log, openLog } from '../base/log.ts';
import { makeFolder } from '../base/make-folder.ts';
import { nameMax, nameProblem } from '../base/names.ts';
import { readCredentials } from '../base/pki/credential-file.ts';
import { readToken } from '../base/pki/token.ts';
import { systemRandom } from '../base/random.ts';
import { version } from '../base/version.ts';
import { type AgentSettings, readAgentSettings } from '../config/agent.ts';

import { type OpenDesk, startDesk } from './desk/start-desk.ts';
import { OwnDiskWatch } from './effects/own-disk.ts';

import { openExecutor } from './executor/executor.ts';
import { readBootId } from './executor/process-table.ts';
import { credentialFile, joinCluster, joinedDedicated } from './join.ts';
import type { FoundCapabilities } from './machine/capability.ts';
import { freeBytes } from './machine/disk-use.ts';
import { type Hardware, readHardware, readMachine } from './machine/inventory.ts';
import { openAgent } from './open-agent.ts';
import { apptainerNode } from './runtimes/apptainer-node.ts';
import { allRuntimes } from './runtimes/by-kind.ts';
import { openBuildFolders } from './scratch/build-folder.ts';
import { standardPath } from './scratch/environment.ts';
import { FileHashes } from './scratch/file-hashes.ts';
import { closeFolders, findAccount } from './scratch/run-as.ts';
import { shellPlaces } from './scratch/shell-place.ts';
import { openWorkspace } from './scratch/workspace.ts';
import { openRecord } from './store/record.ts';
import { Identity } from './uplink/identity.ts';
import { watchFile } from './watch-file.ts';

/** How an agent is started. */
export interface AgentOptions {
  readonly dataFolder: string;
  /** `host:port` or `unix:PATH`. */
  readonly head: string | undefined;
  readonly name: string | undefined;
  /** Default: `agent.yaml` in the data folder, if it is there. */
  readonly configFile: string | undefined;
  /** Nobody sits at this machine. */
  readonly dedicated: boolean;
  readonly logLevel: string;
  /** Gets a line for whoever sits at the terminal. */
  readonly say: (line: string) => void;
}

/** Where a head listens unless one is named. */
const defaultHead = '127.0.0.1:7420';

/**
 * Runs an agent until SIGTERM or SIGINT and resolves with the exit code; its jobs go on. Rejects with `Fault`,
 * `RefusedError` or `ConfigError` when it cannot start.
 */
export async function runAgent(options: AgentOptions): Promise<number> {
  const stopped = new Promise<void>((stop) => {
    process.once('SIGTERM', () => stop());
    process.once('SIGINT', () => stop());
  });
  const log = openLog('agent', options.logLevel);
  const root = resolve(options.dataFolder);
  const dedicated = options.dedicated || (await joinedDedicated(root));
  const credentials = await readCredentials(credentialFile(root));
  const address = addressFrom(options.head ?? credentials?.head ?? defaultHead);
  // A Unix socket needs no certificate, and knows none.
  const shown = address.kind === 'unix' ? undefined : credentials;
  const inPlain = shown ? undefined : plainProblem(address);
  if (inPlain) throw new RefusedError(inPlain);
  const configFile = options.configFile ?? join(root, 'agent.yaml');
  const settings = await readAgentSettings(configFile, { required: options.configFile !== undefined });
  const nodeName = nodeNameOf(options.name ?? settings.name ?? shown?.name ?? hostname());
  const ownUid = process.getuid?.() ?? -1;
  const account = settings.runAs === undefined ? undefined : await findAccount(settings.runAs, ownUid);
  await makeRoot(root, account || settings.desk.group !== undefined ? openMode : closedMode);
  if (account || settings.desk.group !== undefined) await closeFolders(root);
  if (!account && ownUid === 0)
    log.warn({}, 'jobs run as root; name an account without rights as runAs in the settings of the agent');
  // Its lock keeps a second agent from this data; everything else here comes after it.
  let current = settings;
  let diskBytes = 0;
  const reserveBytes = () => current.diskReserveBytes ?? Math.min(512 * 2 ** 20, diskBytes / 50);
  const ownDisk = new OwnDiskWatch({ folder: root, clock: systemClock, log, reserveBytes });
  const record = await openRecord(join(root, 'record'), () => newNodeId(), systemClock, {
    random: systemRandom,
    told: (why) => ownDisk.recordWritten(why),
  });
  // What is measured and told of attempts must not jump with the wall clock; certificates have dates of that one.
  const clock = steadyClock(systemClock);
  const executor = await openExecutor({
    ...{ folder: join(root, 'supervisors'), clock, architecture: arch() },
    ...(settings.freezing === 'auto' ? {} : { freezings: [settings.freezing] }),
  });
  const hardware = await readHardware(root, standardPath);
  diskBytes = hardware.diskBytes;
  await ownDisk.start();
  const facts = {
    tracking: executor.tracking,
    dedicated,
    jobsAccount: account?.name ?? ownAccount(ownUid),
    agentIsRoot: ownUid === 0,
    freezing: executor.freezing,
  };
  let machine = await lookAt(hardware, settings);
  const capabilities = () => machine.capabilities;
  const hashes = new FileHashes();
  const apptainer = apptainerNode(() => ({
    PATH: standardPath,
    HOME: root,
    ...machine.capabilities['apptainer']?.env,
  }));
  const ports = { clock: systemClock, random: systemRandom, log };
  let desk: OpenDesk | undefined;
  const agent = await openAgent({
    identity: new Identity({ ...ports, address, credentials: shown, file: credentialFile(root) }),
    clock,
    random: systemRandom,
    log,
    nodeName,
    version,
    bootId: readBootId(),
    record,
    executor,
    cacheFolder: join(root, 'blobs'),
    cacheQuotaBytes: settings.blobsQuotaBytes,
    buildsLimitBytes: settings.buildsQuotaBytes,
    processesMax: () => current.processesMax,
    diskReserveBytes: reserveBytes,
    ownDisk,
    freeBytes: () => freeBytes(root),
    killGraceMs: settings.killGraceMs,
    async makeWorkspace(cache) {
      const common = { root, cache, clock, capabilities, readable: () => current.readable, account };
      const { os, architecture } = machine.inventory;
      const runtimes = allRuntimes(apptainer);
      return {
        workspace: await openWorkspace({ ...common, hashes, runtimes, holesMaxBytes: () => current.holesMaxBytes }),
        buildFolders: await openBuildFolders({ ...common, os, architecture }),
        shells: {
          places: shellPlaces({ ...common, runtimes, processesMax: () => current.processesMax }),
          folder: join(root, 'shells'),
          isAllowed: () => current.shell,
        },
      };
    },
    inventory: { ...machine.inventory, ...facts },
    attemptsChanged: () => desk?.attemptsChanged(),
    shellsChanged: () => desk?.shellsChanged(),
    say: (line) => options.say(`labrun agent ${nodeName}: ${line}`),
  });
  desk = await startDesk({
    ...{ clock, random: systemRandom, log, root, record, agent, account, ownUid },
    wallMs: () => systemClock.nowMs(),
    node: nodeName,
    dedicated,
    env: process.env,
    settings: () => current.desk,
    cores: () => machine.inventory.cpus,
    freezing: executor.freezing,
    gpus: machine.inventory.gpus,
  });
  // Who is at the desk is known before anything new is started, and before the head asks.
  agent.begin();
  let reading = Promise.resolve();
  const readAndTell = async () => {
    const again = await readAgain(configFile, log);
    if (!again) return;
    if (again.freezing !== current.freezing) {
      log.warn(
        { freezing: again.freezing, now: executor.freezing },
        '"freezing" counts from the next start of the agent',
      );
    }
    current = again;
    machine = await lookAt(hardware, again);
    agent.setInventory({ ...machine.inventory, ...facts });
    agent.checkShells();
    desk?.reconfigured();
    log.info({ capabilities: Object.keys(machine.capabilities) }, 'the configuration was read again');
  };
  const watcher = await watchFile(configFile, { clock: systemClock, log }, () => {
    // One after the other, so that what was written last counts.
    reading = reading.then(readAndTell);
    background(reading);
  });
  await stopped;
  await watcher.close();
  await reading;
  await desk.close();
  await ownDisk.close();
  if (!ownDisk.isRecorded) {
    // To wait for that disk could take for ever, and a killed agent loses nothing: the next one looks at what runs.
    log.error({ trouble: ownDisk.trouble }, 'stopping, although the disk has not taken all that was to be recorded');
    process.exit(1);
  }
  await agent.close();
  await hashes.close();
  return 0;
}

/** The machine as the settings want it shown. */
async function lookAt(hardware: Hardware, settings: AgentSettings) {
  const { inventory, capabilities } = await readMachine(hardware, settings, standardPath);
  // Its images lie among the blobs, which are closed to another account.
  const usable = Object.entries(capabilities).filter(([name]) => name !== 'apptainer' || settings.runAs === undefined);
  const declared = usable.map(([name, found]) => {
    const wanted = settings.capabilities[name]?.version;
    return [name, wanted === undefined ? found : { ...found, version: wanted }] as const;
  });
  const named: FoundCapabilities = Object.fromEntries(declared);
  return {
    capabilities: named,
    inventory: {
      ...inventory,
      capabilities: Object.fromEntries(declared.map(([name, found]) => [name, found.version])),
      memoryBytes: settings.memoryBytes ?? inventory.memoryBytes,
      diskBytes: settings.diskBytes ?? inventory.diskBytes,
    },
  };
}

/** A mistake in a file that is being edited must not stop an agent: it goes on with what it knows, and says so. */
async function readAgain(configFile: string, log: Log): Promise<AgentSettings | undefined> {
  try {
    return await readAgentSettings(configFile, { required: false });
  } catch (error) {
    log.error(
      { error: messageOf(error) },
      'the configuration was changed and cannot be read; the agent keeps the old one',
    );
    return undefined;
  }
}

/**
 * Has the agent of a data folder certified by a head; from then on it needs no address. Rejects with `RefusedError` or
 * `Fault` that says why not.
 */
export async function joinAgent(options: {
  readonly dataFolder: string;
  readonly head: string;
  readonly token: string;
  readonly name: string | undefined;
  readonly owner: string;
  /** Nobody sits at this machine. */
  readonly dedicated: boolean;
}): Promise<{ readonly clusterId: string; readonly nodeName: string; readonly expiresAtMs: number }> {
  const token = readToken(options.token);
  if (!token)
    throw new RefusedError(
      refused('invalid', 'Cannot join: that is no token; copy all of it, it begins with "labrun1."'),
    );
  const root = resolve(options.dataFolder);
  const nodeName = nodeNameOf(options.name ?? hostname());
  await makeRoot(root, closedMode);
  const { owner, dedicated } = options;
  const address = addressFrom(options.head);
  const who = { nodeName, owner, dedicated, newNodeId };
  const joined = await joinCluster({ root, address, token, ...who, clock: systemClock });
  return { ...joined, nodeName };
}

function addressFrom(text: string): Address {
  const address = readAddress(text);
  if (address.kind === 'refused') throw new RefusedError(address);
  return address;
}

/** Jobs of another account come through to their own folders; what else is there is closed by itself. */
const openMode = 0o711;
const closedMode = 0o700;

async function makeRoot(root: string, mode: number): Promise<void> {
  try {
    await makeFolder(root, mode);
    await chmod(root, mode);
  } catch (error) {
    throw new Fault('data-folder', `Cannot use the data directory "${root}": ${messageOf(error)}`, { cause: error });
  }
}

function nodeNameOf(wanted: string): string {
  const problem = nameProblem(wanted);
  if (problem === undefined) return wanted;
  const fitting = wanted
    .replace(/[^A-Za-z0-9._+=,@-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, nameMax);
  throw new Fault(
    'name',
    `Cannot call this node "${wanted}": the name ${problem}; use --name, for instance --name ${fitting || 'node1'}`,
  );
}

/** The name of this process's own account; its number where it has no entry, as in some containers. */
function ownAccount(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

function newNodeId(): NodeId {
  const id = asNodeId(ulid(systemClock.nowMs(), systemRandom.bytes(10)));
  if (!id) throw new Fault('internal', 'Cannot make a node id');
  return id;
}
