import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Fault, isSystemError } from '../base/errors.ts';
import { asClusterId, type ClusterId, ulid } from '../base/ids.ts';
import type { Random } from '../base/random.ts';
import { writeDurably } from './archive/durable.ts';

/** What a head's data folder says about itself. */
export interface DataFolder {
  readonly clusterId: ClusterId;
  /** Where results are kept; may be on another disk. */
  readonly archiveFolder: string;
  /** Where this is written. */
  readonly configFile: string;
}

/** Makes a new cluster in a folder. Throws `Fault` "exists" when there is one already: its id names all its results. */
export async function initDataFolder(
  dataFolder: string,
  archiveFolder: string | undefined,
  nowMs: number,
  random: Random,
): Promise<DataFolder> {
  const configFile = join(resolve(dataFolder), 'head.json');
  const archive = resolve(archiveFolder ?? join(dataFolder, 'archive'));
  if (await readText(configFile)) {
    throw new Fault(
      'exists',
      `Cannot make a head in "${dataFolder}": there is one already; start it with "labrun head start"`,
    );
  }
  await mkdir(resolve(dataFolder), { recursive: true, mode: 0o700 });
  await mkdir(archive, { recursive: true });
  const clusterId = ulid(nowMs, random.bytes(10));
  await writeDurably(configFile, `${JSON.stringify({ format: 1, clusterId, archive }, null, 2)}\n`);
  return await readDataFolder(dataFolder);
}

/** Reads it. Throws `Fault` that says what to do when there is none, or it is not readable. */
export async function readDataFolder(dataFolder: string): Promise<DataFolder> {
  const configFile = join(resolve(dataFolder), 'head.json');
  const text = await readText(configFile);
  if (text === undefined) {
    throw new Fault(
      'not-found',
      `Cannot start a head in "${dataFolder}": first run "labrun head init --data ${dataFolder}"`,
    );
  }
  const broken = (what: string) => new Fault('invalid', `Cannot start a head: ${configFile} ${what}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken('is not JSON');
  }
  const { format, clusterId, archive }: Record<string, unknown> = { ...Object(value) };
  if (format !== 1) throw broken('was written by another release of labrun');
  const id = typeof clusterId === 'string' ? asClusterId(clusterId) : undefined;
  if (!id || typeof archive !== 'string' || !archive.startsWith('/')) throw broken('lacks the cluster or the archive');
  return { clusterId: id, archiveFolder: archive, configFile };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
