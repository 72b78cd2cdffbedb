import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, isSystemError } from '../../base/errors.ts';
import { asClusterId, type ClusterId } from '../../base/ids.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';

/** The form of backups that this labrun writes, and the newest it reads. */
const backupFormat = 1;
/** Written last: with it a backup is one. */
export const backupFileName = 'backup.json';
/** The copy of the database. */
export const databaseName = 'database';
/** One line for each input: namespace, hash and size. */
export const inputsName = 'inputs.txt';
/** Settings and keys, by their names in the data folder. Those that are not there are left out. */
export const settingsNames = ['cluster.json', 'head.yaml', 'pki/authority.key', 'pki/authority.pem'] as const;

/** What a backup says of itself. */
export interface BackupFacts {
  readonly clusterId: ClusterId;
  /** Of the labrun that made it. */
  readonly version: string;
  readonly madeAt: string;
  /** The last event that it holds. */
  readonly seq: number;
  readonly archiveFolder: string;
  /** Files but the inputs (whose names are their hashes), by their paths in the backup. */
  readonly files: Readonly<Record<string, ContentHash>>;
}

/** Where an input's content is in a backup. */
export function inputPath(folder: string, hash: ContentHash): string {
  const hex = hash.slice('blake3:'.length);
  return join(folder, 'inputs', hex.slice(0, 2), hex);
}

/** The text of `backup.json`. */
export function writeBackupFacts(facts: BackupFacts): string {
  return `${JSON.stringify({ format: backupFormat, ...facts }, null, 2)}\n`;
}

/** Reads what a backup says of itself. Throws `Fault` that says why it is none, or none that this labrun reads. */
export async function readBackupFacts(folder: string): Promise<BackupFacts> {
  const path = join(folder, backupFileName);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) {
      throw new Fault(
        'not-found',
        `Cannot use "${folder}": it holds no finished backup (there is no ${backupFileName})`,
      );
    }
    throw new Fault('damaged', `Cannot use "${folder}": ${path} cannot be read`, { cause: error });
  }
  const { format, clusterId, version, madeAt, seq, archiveFolder, files }: Record<string, unknown> = {
    ...Object(value),
  };
  if (typeof format === 'number' && format > backupFormat) {
    throw new Fault(
      'newer-format',
      `Cannot use "${folder}": a newer labrun (${version}) made it (format ${format}); restore it with that release`,
    );
  }
  const id = typeof clusterId === 'string' ? asClusterId(clusterId) : undefined;
  const hashes = Object.entries(Object(files)).map(([name, hash]) => [name, asContentHash(String(hash))] as const);
  const strings = [version, madeAt, archiveFolder].every((one) => typeof one === 'string');
  if (format !== backupFormat || !id || !strings || typeof seq !== 'number' || hashes.some(([, hash]) => !hash)) {
    throw new Fault('damaged', `Cannot use "${folder}": ${path} is not what labrun writes`);
  }
  return {
    clusterId: id,
    version: String(version),
    madeAt: String(madeAt),
    seq,
    archiveFolder: String(archiveFolder),
    files: Object.fromEntries(hashes.flatMap(([name, hash]) => (hash ? [[name, hash]] : []))),
  };
}
