import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FreezingName } from '../ports.ts';
import { makeGroupsFolder } from './cgroup.ts';
import type { Control, Controls } from './controls.ts';
import type { TrackingName } from './identity.ts';

/** How trees can be stopped that are tracked like this, of the ways that are allowed; nothing for none of them. `groups` are those that track. */
export function findFreezing(
  tracking: TrackingName,
  groups: string,
  allowed: readonly FreezingName[],
  controls: Controls,
): FreezingName | undefined {
  if (hasOwnFreezer(tracking, groups) && allowed.includes(tracking)) return tracking;
  if (controls.freezer && allowed.includes('cgroup-v1')) return 'cgroup-v1';
  return allowed.includes('stop') ? 'stop' : undefined;
}

/** The freezer of version 1, for trees whose own groups have none: those of version 2 have it since Linux 5.2. */
export function findFreezer(
  tracking: TrackingName,
  groups: string,
  allowed: readonly FreezingName[],
  name: string,
): { readonly freezer?: Control } {
  if (tracking !== 'cgroup-v2' || !allowed.includes('cgroup-v1')) return {};
  if (allowed.includes('cgroup-v2') && hasOwnFreezer(tracking, groups)) return {};
  const parent = makeGroupsFolder('v1', name, 'freezer');
  return parent === undefined ? {} : { freezer: { version: 'v1', parent } };
}

/** What to say where trees can be stopped in none of these ways. */
export function freezingNeeds(allowed: readonly FreezingName[]): string {
  const ways = allowed.map((name) => `"${name}" needs ${needs[name]}`).join(', ');
  return `Cannot stop jobs as the agent's settings want it: ${ways}; with "freezing: auto" it takes the best way there is`;
}

const needs: Readonly<Record<FreezingName, string>> = {
  'cgroup-v2':
    'Linux 5.2 and control groups of version 2 that are its own, which root has, and a unit with Delegate=yes',
  'cgroup-v1': 'the freezer of control groups of version 1, mounted, and root to make groups there',
  stop: 'nothing but processes that can be found',
};

function hasOwnFreezer(tracking: TrackingName, groups: string): tracking is 'cgroup-v1' | 'cgroup-v2' {
  return tracking === 'cgroup-v1' || (tracking === 'cgroup-v2' && existsSync(join(groups, 'cgroup.freeze')));
}
