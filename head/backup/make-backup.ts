import { chmod, copyFile, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import type { ClusterId } from '../../base/ids.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { type ContentHash, hashFile } from '../../base/transfer/hash.ts';
import type { BlobStore } from '../archive/blobs.ts';
import { diskTrouble, syncFile, syncFolder, writeDurably } from '../archive/durable.ts';
import type { CopyFacts } from '../store/copy-out.ts';
import { backupFileName, databaseName, inputPath, inputsName, settingsNames, writeBackupFacts } from './backup-file.ts';
import { linkOrCopy } from './link-or-copy.ts';

/** What a backup is made of. */
export interface BackupPorts {
  readonly clusterId: ClusterId;
  readonly version: string;
  readonly clock: Clock;
  readonly dataFolder: string;
  readonly archiveFolder: string;
  readonly blobs: Pick<BlobStore, 'pathOf'>;
  /** What the batches of each namespace need. */
  readonly pinned: () => Promise<ReadonlyMap<string, ReadonlySet<ContentHash>>>;
  readonly copyDatabase: (path: string, onBytes: (bytes: number) => void, signal: AbortSignal) => Promise<CopyFacts>;
}

/** What was copied. */
export interface BackupMade {
  readonly seq: number;
  readonly databaseBytes: number;
  readonly inputFiles: number;
  readonly inputBytes: number;
  readonly linkedFiles: number;
  /** Needed by batches and not there, at most `missingMax` of them. */
  readonly missing: readonly ContentHash[];
}

/** There while a backup is being made. */
const unfinishedName = '.unfinished';

/** Missing inputs that are named. */
const missingMax = 1_000;

/** Hears how far a backup is. */
export type BackupListener = (step: 'database' | 'inputs' | 'settings', bytes: number) => void;

/**
 * Copies everything that this head knows into a folder, as of one moment, while it serves; results are not copied. The
 * folder is a backup once its last file is written; when something goes wrong before, what was made is removed again.
 * Throws `RefusedError` for a folder that cannot be used.
 */
export async function makeBackup(
  ports: BackupPorts,
  folder: string,
  tell: BackupListener,
  signal: AbortSignal,
): Promise<BackupMade> {
  await openFolder(folder);
  try {
    return await fill(ports, folder, tell, signal);
  } catch (error) {
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
    throw diskTrouble(error, `make a backup in "${folder}"`);
  }
}

async function fill(
  ports: BackupPorts,
  folder: string,
  tell: BackupListener,
  signal: AbortSignal,
): Promise<BackupMade> {
  const { clusterId, version, archiveFolder, clock } = ports;
  const madeAt = new Date(clock.nowMs()).toISOString();
  const database = await ports.copyDatabase(join(folder, databaseName), (bytes) => tell('database', bytes), signal);
  // After the database: a batch that it holds has its inputs here, for what is pinned stays.
  const inputs = await copyInputs(ports, folder, (bytes) => tell('inputs', bytes), signal);
  const files: Record<string, ContentHash> = {
    [databaseName]: database.hash,
    [inputsName]: await hashFile(join(folder, inputsName)),
  };
  tell('settings', 0);
  for (const name of settingsNames) {
    const hash = await copySetting(join(ports.dataFolder, name), join(folder, name));
    if (hash) files[name] = hash;
  }
  const facts = { clusterId, version, madeAt, seq: database.seq, archiveFolder, files };
  await rm(join(folder, unfinishedName));
  await writeDurably(join(folder, backupFileName), writeBackupFacts(facts), 0o600);
  return { seq: database.seq, databaseBytes: database.sizeBytes, ...inputs };
}

/** Makes the folder, or takes an empty one. Keys are copied into it: others must not look. */
async function openFolder(folder: string): Promise<void> {
  const no = (why: string) => new RefusedError(refused('invalid', `Cannot make a backup in "${folder}": ${why}`));
  if (!isAbsolute(folder)) throw no("name a whole path on the head's machine");
  try {
    await makeFolder(folder, 0o700);
    if ((await readdir(folder)).length > 0) throw no('it is not empty; name a new folder');
    if (((await stat(folder)).mode & 0o077) !== 0) await chmod(folder, 0o700);
    // Of two that are begun at once one goes on; the other must not clean up after it.
    await writeFile(join(folder, unfinishedName), '', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (isSystemError(error, 'EEXIST') && error.path === join(folder, unfinishedName))
      throw no('another backup is being made there; wait for it, or name a new folder');
    if (isSystemError(error, 'EEXIST', 'ENOTDIR')) throw no('it is no folder');
    if (isSystemError(error, 'EACCES', 'EPERM', 'EROFS')) {
      throw no(`the head's own account must be able to write there and close it to others (${error.code})`);
    }
    throw error;
  }
}

async function copyInputs(
  { blobs, pinned }: BackupPorts,
  folder: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Omit<BackupMade, 'seq' | 'databaseBytes'>> {
  const missing: ContentHash[] = [];
  const done = new Map<ContentHash, number>();
  let [inputBytes, linkedFiles] = [0, 0];
  const list = await open(join(folder, inputsName), 'wx', 0o600);
  try {
    for (const [namespace, hashes] of await pinned()) {
      for (const hash of hashes) {
        signal.throwIfAborted();
        let sizeBytes = done.get(hash);
        if (sizeBytes === undefined) {
          const copied = await copyInput(blobs.pathOf(hash), inputPath(folder, hash));
          if (!copied) {
            if (missing.length < missingMax) missing.push(hash);
            continue;
          }
          ({ sizeBytes } = copied);
          done.set(hash, sizeBytes);
          inputBytes += sizeBytes;
          if (copied.how === 'linked') linkedFiles += 1;
          onBytes(inputBytes);
        }
        await list.appendFile(`${namespace} ${hash} ${sizeBytes}\n`);
      }
    }
    await list.sync();
  } finally {
    await list.close();
  }
  const folders = new Set([...done.keys()].map((hash) => dirname(inputPath(folder, hash))));
  for (const shelf of folders) await syncFolder(shelf);
  await syncFolder(folder);
  return { inputFiles: done.size, inputBytes, linkedFiles, missing };
}

/** Nothing when it is not there: the batch that needs it is no worse off than before. */
async function copyInput(
  from: string,
  to: string,
): Promise<{ readonly sizeBytes: number; readonly how: 'linked' | 'copied' } | undefined> {
  await makeFolder(dirname(to), 0o700);
  try {
    const { size } = await stat(from);
    return { sizeBytes: size, how: await linkOrCopy(from, to) };
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function copySetting(from: string, to: string): Promise<ContentHash | undefined> {
  await makeFolder(dirname(to), 0o700);
  try {
    await copyFile(from, to);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
  await chmod(to, 0o600);
  await syncFile(to);
  await syncFolder(dirname(to));
  return await hashFile(to);
}
