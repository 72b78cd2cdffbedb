import { chmodSync, existsSync, lchownSync } from 'node:fs';
import { chmod, lchown, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { runCommand } from '../machine/run-command.ts';
import type { ProcessRequest } from '../ports.ts';
import type { AttemptFolders } from './attempt-folders.ts';
import { standardPath } from './environment.ts';
import { lateEnvironment, type Owner } from './late-environment.ts';

/** A local account that jobs run as, instead of the agent's own. */
export interface Account extends Owner {
  readonly name: string;
}

const setpriv = '/usr/bin/setpriv';
const lookupTimeoutMs = 10_000;

/**
 * Looks an account up. Throws `Fault` (`run-as`) when there is none of this name, when it is root, or when this agent
 * may not become another user.
 */
export async function findAccount(name: string, ownUid: number): Promise<Account> {
  const refuse = (why: string) => new Fault('run-as', `Cannot run jobs as "${name}": ${why}`);
  if (ownUid !== 0) throw refuse('only an agent that runs as root can; leave runAs out, or start the agent as root');
  if (!existsSync(setpriv)) throw refuse(`this machine has no ${setpriv} (of util-linux)`);
  const [uid, gid] = await Promise.all([numberOf('-u', name), numberOf('-g', name)]);
  if (uid === undefined || gid === undefined) throw refuse('there is no such account on this machine');
  if (uid === 0) throw refuse('that is root; name an account without rights');
  return { name, uid, gid };
}

/** What of the agent's folder is nobody else's. */
const closed = ['record', 'supervisors', 'blobs', 'identity', 'outbox'];

/** Closes what of the agent's folder is not for the accounts that come through it to their own folders. */
export async function closeFolders(root: string): Promise<void> {
  for (const name of closed) {
    const folder = join(root, name);
    await makeFolder(folder);
    await chmod(folder, 0o700);
  }
}

/**
 * Gives an account what is its own in an attempt; the rest (identity, exit status, log) stays the agent's. The home was
 * closed until now, and is open when this has ended: nobody is there to swap what is being given.
 */
export async function giveFolders(folders: AttemptFolders, account: Account): Promise<void> {
  const script = join(folders.home, 'run.sh');
  if (existsSync(script)) lchownSync(script, account.uid, account.gid);
  const own = [folders.work, folders.archive, folders.tmp, folders.userHome];
  for (const folder of own.filter((path) => existsSync(path))) await giveTree(folder, account);
  chmodSync(folders.home, 0o711);
}

/** The same process as another user, who cannot come back. The supervisor stays the agent's, out of the job's reach. */
export function runAs(request: ProcessRequest, account: Account): ProcessRequest {
  const file = join(request.home, 'account.sh');
  const become = [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--init-groups', '--no-new-privs'];
  // What groups a user has comes from files; --init-groups finds the name by the number.
  const argv = [setpriv, ...become, ...lateEnvironment(file, request.env, request.argv, account)];
  return { ...request, argv, env: { PATH: standardPath } };
}

async function giveTree(path: string, account: Account): Promise<void> {
  await lchown(path, account.uid, account.gid);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) await giveTree(below, account);
    else await lchown(below, account.uid, account.gid);
  }
}

async function numberOf(option: '-u' | '-g', name: string): Promise<number | undefined> {
  const env = { PATH: standardPath };
  const { exitCode, stdout } = await runCommand(['id', option, '--', name], { env, timeoutMs: lookupTimeoutMs });
  return exitCode === 0 ? Number(stdout.trim()) : undefined;
}
