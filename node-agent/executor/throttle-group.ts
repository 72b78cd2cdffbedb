import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { withSpares } from '../../base/spare-descriptors.ts';
import { groupMembers } from './cgroup.ts';
import { type Control, setCores, writeControl } from './controls.ts';
import { readSmallFile } from './small-file.ts';

/** Over how long processor time is counted, in microseconds: the kernel's own default. */
const periodUs = 100_000;
/** Least quota that the kernel takes, in microseconds. */
const quotaMinUs = 1_000;

const weightFiles = { v1: 'cpu.shares', v2: 'cpu.weight' };
const quotaFiles = { v1: 'cpu.cfs_quota_us', v2: 'cpu.max' };
const weightMin = { v1: '2', v2: '1' };

/** The weight that the group of this name has; nothing where the kernel does not limit time here. */
export function weightOf({ version, parent }: Control, name: string): string | undefined {
  const group = join(parent, name);
  return existsSync(join(group, quotaFiles[version]))
    ? readSmallFile(join(group, weightFiles[version]))?.trim()
    : undefined;
}

/** Gives the group of this name so many cores at most, at the lowest weight there is. Answers false where the kernel refuses. */
export function throttleGroup({ version, parent }: Control, name: string, cores: number): boolean {
  const group = join(parent, name);
  const quotaUs = String(Math.max(quotaMinUs, Math.round(cores * periodUs)));
  const done =
    version === 'v1'
      ? writeControl(join(group, 'cpu.cfs_period_us'), String(periodUs)) &&
        writeControl(join(group, quotaFiles.v1), quotaUs)
      : writeControl(join(group, quotaFiles.v2), `${quotaUs} ${periodUs}`);
  if (done) setIdle(version, group);
  return done;
}

/** Undoes it. Where nobody knows what it weighed, it weighs one core. */
export function releaseGroup({ version, parent }: Control, name: string, weight: string | undefined): void {
  const group = join(parent, name);
  if (version === 'v1') writeControl(join(group, quotaFiles.v1), '-1');
  else writeControl(join(group, quotaFiles.v2), `max ${periodUs}`);
  if (existsSync(join(group, 'cpu.idle'))) writeControl(join(group, 'cpu.idle'), '0');
  if (weight === undefined) setCores(version, group, 1);
  else writeControl(join(group, weightFiles[version]), weight);
}

/** Whether it gets less than it would take, by whichever agent. */
export function isThrottled({ version, parent }: Control, name: string): boolean {
  const quota = readSmallFile(join(parent, name, quotaFiles[version]))?.trim();
  return quota !== undefined && quota !== '-1' && !quota.startsWith('max');
}

/**
 * Weights count among the groups of one folder: against the programs of the person at the desk it is the folder of all
 * our groups that weighs. It is light as long as every group in which something runs is throttled. `busy` names those of
 * which that is known, `cores` is their weight else.
 */
export function weighTogether({ version, parent }: Control, cores: number, busy: ReadonlySet<string>): void {
  if (!existsSync(parent)) return; // the executor was closed and took its groups along
  const groups = withSpares(() => readdirSync(parent, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    // A supervisor alone is nobody, unless it is about to start something.
    .filter(({ name }) => busy.has(name) || groupMembers(join(parent, name)).length > 1)
    .map(({ name }) => name);
  if (groups.length > 0 && groups.every((name) => isThrottled({ version, parent }, name))) {
    setIdle(version, parent);
    return;
  }
  if (existsSync(join(parent, 'cpu.idle'))) writeControl(join(parent, 'cpu.idle'), '0');
  setCores(version, parent, cores);
}

/** Runs only when nobody else wants to, where the kernel knows that (Linux 5.15); else weighs least. */
function setIdle(version: Control['version'], group: string): void {
  if (!writeControl(join(group, 'cpu.idle'), '1')) {
    writeControl(join(group, weightFiles[version]), weightMin[version]);
  }
}
