import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { hashBytes } from '../../base/transfer/hash.ts';
import { dismiss } from './alive-watch.ts';
import { makeGroupsFolder, removeGroup, setFrozen } from './cgroup.ts';
import { readIdentity, type TrackingName } from './identity.ts';
import { readWords } from './small-file.ts';
import { findProcesses, isSupervisorAlive } from './tracking.ts';

/** The name of an executor's folder of control groups, in every hierarchy. */
export function groupsName(folder: string): string {
  // Several agents share one machine (the demo), so the name tells them apart and stays the same over restarts.
  return `labrun-${hashBytes(folder).slice('blake3:'.length).slice(0, 12)}`;
}

/** Where the control groups of an executor's supervisors are made: '' when it needs none, nothing when it can't have any. */
export function groupsFolder(tracking: TrackingName, folder: string): string | undefined {
  if (tracking !== 'cgroup-v1' && tracking !== 'cgroup-v2') return '';
  return makeGroupsFolder(tracking === 'cgroup-v2' ? 'v2' : 'v1', groupsName(folder));
}

/** Removes what the dead supervisors of earlier agents left. Those that live, or whose trees do, keep their folders. */
export function tidyAll(folder: string, parents: readonly string[]): void {
  const names = readdirSync(folder);
  for (const name of names) tidy(join(folder, name), parents);
  for (const parent of parents) {
    for (const entry of readdirSync(parent, { withFileTypes: true })) {
      if (entry.isDirectory() && !names.includes(entry.name)) removeGroup(join(parent, entry.name));
    }
  }
}

/**
 * Removes a supervisor's folder and groups when it is dead and nothing is left of its last tree; tells one that only
 * stayed for its orphans that they are gone. `parents` are the folders of control groups; its own have its name there.
 * Answers whether all of it is gone.
 */
export function tidy(folder: string, parents: readonly string[]): boolean {
  const identity = readIdentity(folder);
  const groups = new Set([identity?.group ?? '', ...parents.map((parent) => join(parent, basename(folder)))]);
  if (identity) {
    const home = readWords(join(folder, 'home'))?.slice(0, -1);
    const id = (home === undefined ? undefined : readIdentity(home)?.id) ?? `${basename(folder)} had no tree`;
    if (findProcesses({ ...identity, id }).length > 0) return false;
    if (isSupervisorAlive(identity)) {
      // Frozen alone, it could not say how its tree ended.
      for (const group of groups) setFrozen(group, false);
      dismiss(folder);
      return false;
    }
  }
  const left = [...groups].filter((group) => !removeGroup(group));
  if (left.length > 0) return false;
  rmSync(folder, { recursive: true, force: true });
  return true;
}
