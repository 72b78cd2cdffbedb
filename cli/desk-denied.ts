import { spawnSync } from 'node:child_process';
import { type Stats, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { RefusedError, refused } from '../base/errors.ts';

/** How long the system's database of groups may take, in milliseconds: it may be on another machine. */
const lookupMs = 5_000;

/** Why the caller may not speak with the agent whose data is in this folder, and who can change that. */
export function deskDenied(folder: string): RefusedError {
  return new RefusedError(refused('denied', `Cannot speak with the agent in "${folder}": ${reason(folder)}`));
}

function reason(folder: string): string {
  const door = statOf(join(folder, 'desk'));
  if (door === undefined)
    return 'only its own account may; its admin lets a group in with "labrun agent install --desk-group GROUP"';
  if ((door.mode & groupPasses) === 0)
    return 'only its own account may; its admin lets a group in with desk.group in its agent.yaml';
  const { name, members } = groupOf(door.gid);
  if (process.getgroups?.().includes(door.gid))
    return `its desk is not open to the group "${name}", though it was to be; its log says why ("journalctl -u labrun-agent")`;
  const { username } = userInfo();
  if (members.includes(username)) return `you are in the group "${name}" from your next login on; log in again`;
  return `you are not in the group "${name}"; its admin lets you in with "usermod -aG ${name} ${username}", from your next login on`;
}

const groupPasses = 0o010;

/** Nothing where not even that may be seen. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined; // the reason is the one that is to be told
  }
}

function groupOf(gid: number): { readonly name: string; readonly members: readonly string[] } {
  const { status, stdout } = spawnSync('getent', ['group', String(gid)], { encoding: 'utf8', timeout: lookupMs });
  const [name = '', , , members = ''] = status === 0 ? stdout.trim().split(':') : [];
  return { name: name || String(gid), members: members.split(',') };
}
