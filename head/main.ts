import { resolve } from 'node:path';
import { type Address, formatAddress, readAddress } from '../base/channel/address.ts';
import { systemClock } from '../base/clock.ts';
import { RefusedError } from '../base/errors.ts';
import { openLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { version } from '../base/version.ts';
import { readHeadSettings } from '../config/head.ts';
import { makeAuthorityIn } from './authority.ts';
import type { BackupFacts } from './backup/backup-file.ts';
import { checkBackup, type Restored, restoreBackup } from './backup/restore.ts';
import { initDataFolder } from './data-folder.ts';
import { fatalMessage } from './engine.ts';
import { openHead } from './open-head.ts';

/** Makes a new cluster. Throws `Fault` when the folder has one already. */
export async function initHead(options: {
  readonly dataFolder: string;
  readonly archiveFolder: string | undefined;
}): Promise<{ clusterId: string; configFile: string }> {
  const made = await initDataFolder(options.dataFolder, options.archiveFolder, systemClock.nowMs(), systemRandom);
  await makeAuthorityIn(resolve(options.dataFolder), made.clusterId, systemClock, systemRandom);
  return made;
}

/** Makes a head's data folder of a backup. Throws `Fault` that says why not. */
export async function restoreHead(options: {
  readonly from: string;
  readonly dataFolder: string;
  readonly archiveFolder: string | undefined;
}): Promise<Restored> {
  const { from, dataFolder, archiveFolder } = options;
  return await restoreBackup(resolve(from), resolve(dataFolder), archiveFolder, systemClock);
}

/** Reads a backup back. Throws `Fault` that names what is damaged. */
export async function readBackup(folder: string): Promise<BackupFacts> {
  return await checkBackup(resolve(folder));
}

/**
 * Runs the head until SIGTERM or SIGINT, and resolves with the exit code. Throws `Fault`, `RefusedError` or
 * `ConfigError` when it cannot start.
 */
export async function runHead(options: {
  readonly dataFolder: string;
  readonly grpc: string | undefined;
  /** Listen in plain text, on the loopback. */
  readonly plain: boolean;
  readonly acceptLoss: boolean;
  readonly logLevel: string;
  /** Gets a line for whoever sits at the terminal. */
  readonly say: (line: string) => void;
}): Promise<number> {
  const log = openLog('head', options.logLevel);
  const ended = new Promise<number>((resolve) => {
    process.once('SIGTERM', () => resolve(0));
    process.once('SIGINT', () => resolve(0));
  });
  const dataFolder = resolve(options.dataFolder);
  const settings = await readHeadSettings(dataFolder);
  const head = await openHead({
    dataFolder,
    settings,
    address: addressFrom(options.grpc ?? settings.grpc),
    plain: options.plain,
    acceptLoss: options.acceptLoss,
    clock: systemClock,
    random: systemRandom,
    log,
    onFatal(error) {
      log.error({}, fatalMessage(error));
      // Memory is ahead of the disk: nothing may be answered or closed in order any more.
      process.exit(1);
    },
  });
  options.say(`labrun head ${version}: listening on ${formatAddress(head.address)}, cluster ${head.clusterId}`);
  const code = await ended;
  await head.close();
  return code;
}

function addressFrom(text: string): Address {
  const address = readAddress(text);
  if (address.kind === 'refused') throw new RefusedError(address);
  return address;
}
