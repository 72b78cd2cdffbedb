import { chmod, chown } from 'node:fs/promises';
import { join } from 'node:path';
import { readAddress } from '../../base/channel/address.ts';
import { closeServer, listen, makeServer } from '../../base/channel/server.ts';
import type { Clock } from '../../base/clock.ts';
import { Fault, RefusedError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { DeskService } from '../../proto/gen/labrun/v1/desk.ts';
import { runCommand } from '../machine/run-command.ts';
import { standardPath } from '../scratch/environment.ts';
import { DeskCallers, makeProofs } from './caller.ts';
import { type DeskServicePorts, deskService } from './desk-service.ts';

/** Where a desk is. */
export interface DeskOptions extends Omit<DeskServicePorts, 'callers'> {
  /** The agent's data folder; the socket is `desk/socket` in it. */
  readonly root: string;
  readonly log: Log;
  readonly clock: Clock;
  /** The group whose members may use it besides the agent's own account; nothing for nobody. */
  readonly group: string | undefined;
}

/** How long calls in progress may take when the agent stops, in milliseconds. */
const closeGraceMs = 200;
const lookupTimeoutMs = 10_000;

/** Opens the desk socket. Throws `Fault` (`desk`) when it cannot be opened, and `RefusedError` when its path is too long. */
export async function openDesk(options: DeskOptions): Promise<{ close(): Promise<void> }> {
  const { root, group, log } = options;
  const folder = join(root, 'desk');
  const gid = group === undefined ? undefined : await groupId(group);
  await makeFolder(folder);
  const proofs = join(folder, 'proofs');
  await makeProofs(proofs);
  const server = makeServer();
  const callers = new DeskCallers(proofs);
  server.addService(DeskService, deskService({ ...options, callers }, log));
  const address = readAddress(`unix:${join(folder, 'socket')}`);
  if (address.kind === 'refused') throw new RefusedError(address);
  await listen(server, address);
  if (address.kind === 'unix') {
    await give(address.path, gid, 0o660, 0o600);
    // Others may make links there and nothing else: not see whose are there, nor touch them.
    await give(proofs, gid, 0o1730, 0o700);
    await give(folder, gid, 0o750, 0o700);
  }
  return { close: () => closeServer(server, closeGraceMs) };
}

async function give(path: string, gid: number | undefined, mode: number, alone: number): Promise<void> {
  if (gid !== undefined) {
    try {
      await chown(path, process.getuid?.() ?? -1, gid);
    } catch (error) {
      throw new Fault('desk', `Cannot give "${path}" to the group of desk.group: the agent's account must be in it`, {
        cause: error,
      });
    }
  }
  await chmod(path, gid === undefined ? alone : mode);
}

async function groupId(group: string): Promise<number> {
  const env = { PATH: standardPath };
  const { exitCode, stdout } = await runCommand(['getent', 'group', group], { env, timeoutMs: lookupTimeoutMs });
  const gid = Number(stdout.split(':')[2]);
  if (exitCode === 0 && Number.isSafeInteger(gid)) return gid;
  throw new Fault(
    'desk',
    `Cannot open the desk socket to the group "${group}": there is no such group on this machine`,
  );
}
