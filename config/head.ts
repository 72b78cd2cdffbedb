import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { type Quotas, quotasSetting } from './quotas.ts';
import { section } from './reading/section.ts';
import { amountFrom, readSettings, time } from './reading/settings-file.ts';

/** What an admin may say about the head, in `head.yaml` of its data folder. Every default stands beside its setting. */
export const headFile = section({
  /** Where results are kept, for ever; may be another disk. Relative to the data folder. Default: archive. */
  archive: z.string().min(1).default('archive'),
  /** Where agents and people connect, host:port or unix:PATH. Default: 0.0.0.0:7420, which speaks TLS only. */
  grpc: z.string().min(1).default('0.0.0.0:7420'),
  /** How often an agent says that it is there, 100ms to 10s. One silent for 20 s is shown as unreachable. Default: 5s. */
  heartbeat: time('100ms', '10s').default(5_000),
  /**
   * How long a node that is silent keeps its jobs before they may start elsewhere, 30s to 1d. An agent keeps the term it was
   * given when it connected. Default: 10m.
   */
  lease: time('30s', '1d').default(10 * 60_000),
  /** Bytes kept free on the disks of the database and the archive; below, nothing new is taken in. Default: 1G. */
  diskReserve: amountFrom('1M').default(2 ** 30),
  /** Between SIGTERM and SIGKILL when a job is cancelled, 0s to 1h. Default: 10s. */
  cancelGrace: time('0s', '1h').default(10_000),
  /** What namespaces may take on the disks, at least 1M each; docs/limits.md. Default: all there is. */
  quotas: quotasSetting,
});

/** How a head is set up. Amounts in bytes, times in milliseconds, folders absolute. */
export interface HeadSettings {
  readonly archiveFolder: string;
  readonly grpc: string;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  readonly diskReserveBytes: number;
  readonly cancelGraceMs: number;
  readonly quotas: Quotas;
}

/** Where a head's settings are. */
export function headSettingsFile(dataFolder: string): string {
  return join(dataFolder, 'head.yaml');
}

/** Reads the settings of the head in this data folder; no file means defaults. Rejects with `ConfigError`. */
export async function readHeadSettings(dataFolder: string): Promise<HeadSettings> {
  const file = await readSettings(headSettingsFile(dataFolder), headFile, { required: false });
  return Object.freeze({
    archiveFolder: resolve(dataFolder, file.archive),
    grpc: file.grpc,
    heartbeatMs: file.heartbeat,
    leaseMs: file.lease,
    diskReserveBytes: file.diskReserve,
    cancelGraceMs: file.cancelGrace,
    quotas: file.quotas,
  });
}

/** The same settings with the archive in another folder: the line that says so, or a new one. */
export function withArchive(text: string, archiveFolder: string): string {
  const line = `archive: ${JSON.stringify(archiveFolder)}`;
  return /^archive:.*$/m.test(text) ? text.replace(/^archive:.*$/m, () => line) : `${line}\n${text}`;
}

/** The text of a new head's settings: what was chosen, and every other setting at its default, in a comment. */
export function newHeadSettings(archiveFolder: string | undefined): string {
  const folder = archiveFolder === undefined || isAbsolute(archiveFolder) ? archiveFolder : resolve(archiveFolder);
  return [
    '# Settings of this labrun head. Restart it after a change.',
    folder === undefined
      ? '# archive: archive        # where results are kept, relative to this folder'
      : `archive: ${JSON.stringify(folder)}`,
    '# grpc: 0.0.0.0:7420      # where agents and people connect, host:port or unix:PATH',
    '# heartbeat: 5s           # how often an agent says that it is there',
    '# lease: 10m              # how long a silent node keeps its jobs before they may start elsewhere',
    '# diskReserve: 1G         # kept free on the disks of the database and the archive',
    '# cancelGrace: 10s        # between SIGTERM and SIGKILL when a job is cancelled',
    '# quotas: {}              # per namespace, such as {default: {archive: 500G, staging: 100G, inputs: 50G}}',
    '',
  ].join('\n');
}
