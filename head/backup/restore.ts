import { copyFile, open, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { nameProblem } from '../../base/names.ts';
import { asContentHash, type ContentHash, hashFile } from '../../base/transfer/hash.ts';
import { headSettingsFile, readHeadSettings, withArchive } from '../../config/head.ts';
import { contentPath, holdPath } from '../archive/blobs.ts';
import { syncFile, syncFolder, writeDurably } from '../archive/durable.ts';
import { apply } from '../scheduler/apply.ts';
import type { LogRecord } from '../scheduler/event.ts';
import { checkCopy, copyIn } from '../store/copy-in.ts';
import { openStore } from '../store/open.ts';
import {
  type BackupFacts,
  databaseName,
  inputPath,
  inputsName,
  readBackupFacts,
  settingsNames,
} from './backup-file.ts';

/** What came out of a backup. */
export interface Restored {
  readonly facts: BackupFacts;
  /** Retired ones among them, whose jobs are not counted. */
  readonly batches: number;
  readonly jobs: number;
  readonly nodes: number;
  readonly users: number;
  readonly inputFiles: number;
  readonly inputBytes: number;
  readonly archiveFolder: string;
  /** Whether results are there. */
  readonly archiveIsThere: boolean;
}

/** Reads all of a backup but its inputs, and compares it with its hashes. Throws `Fault` that names what is damaged. */
export async function checkBackup(folder: string): Promise<BackupFacts> {
  const facts = await readBackupFacts(folder);
  for (const [name, hash] of Object.entries(facts.files)) {
    const path = join(folder, name);
    if (name === databaseName) await checkCopy(path, hash);
    else await checkFile(path, hash);
  }
  return facts;
}

/**
 * Makes a head's data folder of a backup. Everything is compared with its hash; nothing is left behind when something
 * is wrong. `archive` says where results are, if not where they were. Throws `Fault` that says why not.
 */
export async function restoreBackup(
  from: string,
  dataFolder: string,
  archive: string | undefined,
  clock: Clock,
): Promise<Restored> {
  const facts = await readBackupFacts(from);
  await checkEmpty(dataFolder);
  await makeFolder(dataFolder, 0o700);
  try {
    const inputs = await takeInputs(from, dataFolder, facts, clock);
    const copy = join(from, databaseName);
    await copyIn(copy, join(dataFolder, 'log'), facts.files[databaseName]);
    const state = await openOnce(dataFolder, facts, clock);
    const archiveFolder = archive ?? facts.archiveFolder;
    await takeSettings(from, dataFolder, facts, archiveFolder);
    return { facts, ...state, ...inputs, archiveFolder, archiveIsThere: await isFolder(archiveFolder) };
  } catch (error) {
    for (const name of await readdir(dataFolder)) await rm(join(dataFolder, name), { recursive: true, force: true });
    throw error;
  }
}

/** Replays what was copied, as a head that starts would, and notes that what came after it is gone. */
async function openOnce(dataFolder: string, { madeAt }: BackupFacts, clock: Clock) {
  const store = await openStore(dataFolder, { acceptLoss: false });
  const record: LogRecord = {
    seq: store.draft.seq + 1,
    atMs: Math.max(clock.nowMs(), store.draft.atMs),
    actor: { kind: 'system', name: 'head' },
    event: { kind: 'log-shortened', how: 'restored', message: `the head was restored from a backup of ${madeAt}` },
  };
  apply(store.draft, record);
  await store.append([record]);
  const { batches, retired, nodes, access } = store.draft;
  const jobs = [...batches.values()].reduce((sum, { rows }) => sum + rows.count, 0);
  const counts = { batches: batches.size + retired.size, jobs, nodes: nodes.size, users: access.users.size };
  await store.close(store.draft);
  return counts;
}

async function checkEmpty(folder: string): Promise<void> {
  try {
    if ((await readdir(folder)).length === 0) return;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return;
    if (!isSystemError(error, 'ENOTDIR')) throw error;
  }
  throw new Fault('exists', `Cannot restore into "${folder}": it is not empty; name a new folder with --data`);
}

async function takeInputs(
  from: string,
  dataFolder: string,
  facts: BackupFacts,
  clock: Clock,
): Promise<{ readonly inputFiles: number; readonly inputBytes: number }> {
  const list = join(from, inputsName);
  await checkFile(list, facts.files[inputsName]);
  const blobs = join(dataFolder, 'blobs');
  const done = new Set<ContentHash>();
  const folders = new Set<string>();
  let inputBytes = 0;
  const nowS = clock.nowMs() / 1000;
  const file = await open(list, 'r');
  try {
    for await (const line of file.readLines()) {
      const { namespace, hash, sizeBytes } = readLine(list, line);
      const [content, hold] = [contentPath(blobs, hash), holdPath(blobs, namespace, hash)];
      for (const path of [content, hold]) await makeFolder(dirname(path));
      if (!done.has(hash)) {
        const path = inputPath(from, hash);
        // A link would share a later fault of either disk's content with the other.
        await copyFile(path, content).catch((error: unknown) => {
          if (isSystemError(error, 'ENOENT')) throw new Fault('damaged', `Cannot restore: ${path} is gone`);
          throw error;
        });
        await checkFile(content, hash, path);
        await syncFile(content);
        done.add(hash);
        folders.add(dirname(content));
        inputBytes += sizeBytes;
      }
      await writeFile(hold, '');
      await utimes(hold, nowS, nowS);
      folders.add(dirname(hold));
    }
  } finally {
    await file.close();
  }
  for (const folder of folders) await syncFolder(folder);
  return { inputFiles: done.size, inputBytes };
}

function readLine(list: string, line: string) {
  const [namespace = '', text = '', size = ''] = line.split(' ');
  const hash = asContentHash(text);
  const sizeBytes = Number(size);
  if (nameProblem(namespace) !== undefined || !hash || !Number.isSafeInteger(sizeBytes))
    throw new Fault('damaged', `Cannot restore: ${list} has the line "${line.slice(0, 200)}"`);
  return { namespace, hash, sizeBytes };
}

/** Last, with `cluster.json` the very last: with that the folder is a head's. */
async function takeSettings(from: string, dataFolder: string, facts: BackupFacts, archiveFolder: string) {
  const [clusterFile, ...others] = settingsNames;
  for (const name of [...others, clusterFile]) {
    const hash = facts.files[name];
    if (hash === undefined) continue;
    const to = join(dataFolder, name);
    await makeFolder(dirname(to), 0o700);
    await copyFile(join(from, name), to);
    await checkFile(to, hash, join(from, name));
    await syncFile(to);
    await syncFolder(dirname(to));
    if (to === headSettingsFile(dataFolder)) await pointAtArchive(dataFolder, archiveFolder);
  }
  if (facts.files[clusterFile] === undefined)
    throw new Fault('damaged', `Cannot restore "${from}": it has no ${clusterFile}`);
}

/** The old setting may be relative to the old folder. */
async function pointAtArchive(dataFolder: string, archiveFolder: string): Promise<void> {
  const path = headSettingsFile(dataFolder);
  const file = await open(path, 'r');
  const text = await file.readFile('utf8').finally(() => file.close());
  if ((await readHeadSettings(dataFolder)).archiveFolder === resolve(archiveFolder)) return;
  await writeDurably(path, withArchive(text, resolve(archiveFolder)), 0o600);
  const { archiveFolder: now } = await readHeadSettings(dataFolder);
  if (now !== resolve(archiveFolder))
    throw new Fault('invalid', `Cannot set where the archive is in ${path}: it has "archive" in a form of its own`);
}

async function checkFile(path: string, expected: ContentHash | undefined, name = path): Promise<void> {
  const hash = await hashFile(path).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (hash !== expected)
    throw new Fault('damaged', `Cannot use ${name}: it is ${hash ? 'not what was written' : 'gone'}`);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
