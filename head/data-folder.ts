import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Fault, isSystemError } from '../base/errors.ts';
import { asClusterId, type ClusterId, ulid } from '../base/ids.ts';
import { makeFolder } from '../base/make-folder.ts';
import type { Random } from '../base/random.ts';
import { headSettingsFile, newHeadSettings } from '../config/head.ts';
import { writeDurably } from './archive/durable.ts';

/** Says which cluster this is; everything else about it may be chosen anew. */
const clusterFile = 'cluster.json';

/** What `head init` has made. */
export interface DataFolder {
  readonly clusterId: ClusterId;
  /** The head's settings, for its admin to edit. */
  readonly configFile: string;
}

/** Makes a new cluster in a folder. Throws `Fault` "exists" when there is one already: its id names all its results. */
export async function initDataFolder(
  dataFolder: string,
  archiveFolder: string | undefined,
  nowMs: number,
  random: Random,
): Promise<DataFolder> {
  const root = resolve(dataFolder);
  if ((await readText(join(root, clusterFile))) !== undefined) {
    throw new Fault(
      'exists',
      `Cannot make a head in "${dataFolder}": there is one already; start it with "labrun head start --data ${dataFolder}"`,
    );
  }
  await makeFolder(root, 0o700);
  await makeFolder(archiveFolder === undefined ? join(root, 'archive') : resolve(archiveFolder));
  const configFile = headSettingsFile(root);
  if ((await readText(configFile)) === undefined) await writeDurably(configFile, newHeadSettings(archiveFolder));
  // Last: with this file the cluster is made.
  await writeDurably(
    join(root, clusterFile),
    `${JSON.stringify({ format: 1, clusterId: ulid(nowMs, random.bytes(10)) })}\n`,
  );
  return { clusterId: await readClusterId(root), configFile };
}

/** Reads which cluster a folder's head serves. Throws `Fault` that says what to do when it serves none. */
export async function readClusterId(dataFolder: string): Promise<ClusterId> {
  const path = join(resolve(dataFolder), clusterFile);
  const text = await readText(path);
  if (text === undefined) {
    throw new Fault(
      'not-found',
      `Cannot start a head in "${dataFolder}": first run "labrun head init --data ${dataFolder}"`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Fault('invalid', `Cannot start a head: ${path} is not JSON`, { cause: error });
  }
  const { format, clusterId }: Record<string, unknown> = { ...Object(value) };
  if (format !== 1) throw new Fault('invalid', `Cannot start a head: ${path} was written by another release of labrun`);
  const id = typeof clusterId === 'string' ? asClusterId(clusterId) : undefined;
  if (!id) throw new Fault('invalid', `Cannot start a head: ${path} names no cluster`);
  return id;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
