import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { withSpares } from '../../base/spare-descriptors.ts';
import { readSmallFile } from './small-file.ts';

/** The two kinds of control groups that can hold a whole process tree still. */
export type CgroupVersion = 'v1' | 'v2';

/**
 * The folder below this agent's own control group where the groups of its supervisors are made; nothing where that is
 * not possible: no such hierarchy, or none that this user may write. `controller` chooses among those of version 1.
 */
export function makeGroupsFolder(version: CgroupVersion, name: string, controller = 'freezer'): string | undefined {
  const folder = groupsPath(version, name, controller);
  if (folder === undefined) return undefined;
  try {
    mkdirSync(folder, { recursive: true });
    // One that an account before this one has left is not ours to fill.
    accessSync(folder, constants.W_OK);
    return folder;
  } catch (error) {
    if (isSystemError(error, 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'EBUSY', 'EAGAIN')) return undefined;
    throw error;
  }
}

/** The same folder in the hierarchy of the freezer of version 1, where it is already: made by this agent or by one before it. */
export function findFreezerFolder(name: string): string | undefined {
  const folder = groupsPath('v1', name, 'freezer');
  return folder !== undefined && existsSync(folder) ? folder : undefined;
}

function groupsPath(version: CgroupVersion, name: string, controller: string): string | undefined {
  const mount = findMount(version, controller, readFileSync('/proc/self/mountinfo', 'utf8'));
  const own = ownGroup(version, controller, readFileSync('/proc/self/cgroup', 'utf8'));
  if (mount === undefined || own === undefined) return undefined;
  // A group that holds processes can't pass controllers on: a unit with DelegateSubgroup=agent leaves us the one above.
  const above = version === 'v2' && basename(own) === 'agent' ? dirname(own) : own;
  return join(mount.folder, relativeTo(mount.root, above), name);
}

/** Ids of all processes in a group and the groups below it; none when the group is gone. */
export function groupMembers(group: string): readonly number[] {
  const text = readSmallFile(join(group, 'cgroup.procs'));
  if (text === undefined) return [];
  const here = text.split('\n').filter(Boolean).map(Number);
  return hasSubgroups(group) ? [...here, ...subgroups(group).flatMap(groupMembers)] : here;
}

/** Stops (or lets go on) everything in a group at once. Answers false where the group is gone. */
export function setFrozen(group: string, frozen: boolean): boolean {
  try {
    if (readSmallFile(join(group, 'freezer.state')) !== undefined) {
      withSpares(() => writeFileSync(join(group, 'freezer.state'), frozen ? 'FROZEN' : 'THAWED'));
    } else {
      withSpares(() => writeFileSync(join(group, 'cgroup.freeze'), frozen ? '1' : '0', { flag: 'r+' }));
    }
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENODEV')) return false;
    throw error;
  }
}

/** The freezer of a group, as it stands; nothing where the group is gone or its kernel has none. */
export function freezerOf(
  group: string,
): { readonly version: CgroupVersion; readonly isAsked: boolean; readonly isFrozen: boolean } | undefined {
  const state = readSmallFile(join(group, 'freezer.state'))?.trim();
  if (state !== undefined) return { version: 'v1', isAsked: state !== 'THAWED', isFrozen: state === 'FROZEN' };
  const asked = readSmallFile(join(group, 'cgroup.freeze'))?.trim();
  const events = readSmallFile(join(group, 'cgroup.events'));
  if (asked === undefined || events === undefined) return undefined;
  return { version: 'v2', isAsked: asked === '1', isFrozen: /^frozen 1$/m.test(events) };
}

/**
 * Removes an empty group and those below it; '' stands for none. A group that still has processes stays, and so does one that an
 * account before this one has left; the answer is false then.
 */
export function removeGroup(group: string): boolean {
  if (group === '') return true;
  try {
    for (const below of subgroups(group)) removeGroup(below);
    rmdirSync(group);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EBUSY', 'ENOTEMPTY', 'EACCES', 'EPERM')) return false;
    if (isSystemError(error, 'ENOENT')) return true;
    throw error;
  }
}

/** A directory has two links and one for each directory in it: far cheaper to ask than to list. */
function hasSubgroups(group: string): boolean {
  return (statSync(group, { throwIfNoEntry: false })?.nlink ?? 0) > 2;
}

function subgroups(group: string): readonly string[] {
  try {
    return withSpares(() => readdirSync(group, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(group, entry.name));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENODEV')) return [];
    throw error;
  }
}

/** Lines of mountinfo: id parent major:minor root folder options … - type source superoptions. */
function findMount(
  version: CgroupVersion,
  controller: string,
  mountinfo: string,
): { root: string; folder: string } | undefined {
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [type, , options = ''] = after.split(' ');
    const fits = version === 'v2' ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes(controller);
    const [, , , root, folder] = before.split(' ');
    if (fits && root !== undefined && folder !== undefined) return { root: plain(root), folder: plain(folder) };
  }
  return undefined;
}

/** Lines of /proc/self/cgroup: number:controllers:path; v2 is number 0 without controllers. */
function ownGroup(version: CgroupVersion, controller: string, text: string): string | undefined {
  for (const line of text.split('\n')) {
    const match = /^(\d+):([^:]*):(.*)$/.exec(line);
    const fits = version === 'v2' ? match?.[1] === '0' : match?.[2]?.split(',').includes(controller);
    if (fits) return match?.[3];
  }
  return undefined;
}

/** A hierarchy may be mounted from below its root, as in containers. */
function relativeTo(root: string, own: string): string {
  return root !== '/' && own.startsWith(root) ? own.slice(root.length) : own;
}

function plain(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
