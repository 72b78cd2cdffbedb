import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { groupMembers } from './cgroup.ts';
import { type Control, setCores, writeControl } from './controls.ts';
import { readSmallFile } from './small-file.ts';

/** Over how long processor time is counted, in microseconds: the kernel's own default. */
const periodUs = 100_000;
/** Least quota that the kernel takes, in microseconds. */
const quotaMinUs = 1_000;

const weightFiles = { v1: 'cpu.shares', v2: 'cpu.weight' };
const weightMin = { v1: '2', v2: '1' };

/**
 * Gives the group of this name so many cores at most, at the lowest weight there is. Answers the weight it had, or nothing
 * where the kernel does not limit time here.
 */
export function throttleGroup({ version, parent }: Control, name: string, cores: number): string | undefined {
  const group = join(parent, name);
  const weight = readSmallFile(join(group, weightFiles[version]))?.trim();
  const quotaUs = String(Math.max(quotaMinUs, Math.round(cores * periodUs)));
  const done =
    version === 'v1'
      ? writeControl(join(group, 'cpu.cfs_period_us'), String(periodUs)) &&
        writeControl(join(group, 'cpu.cfs_quota_us'), quotaUs)
      : writeControl(join(group, 'cpu.max'), `${quotaUs} ${periodUs}`);
  if (weight === undefined || !done) return undefined;
  setIdle(version, group);
  return weight;
}

/** Undoes it. */
export function releaseGroup({ version, parent }: Control, name: string, weight: string): void {
  const group = join(parent, name);
  if (version === 'v1') writeControl(join(group, 'cpu.cfs_quota_us'), '-1');
  else writeControl(join(group, 'cpu.max'), `max ${periodUs}`);
  if (existsSync(join(group, 'cpu.idle'))) writeControl(join(group, 'cpu.idle'), '0');
  writeControl(join(group, weightFiles[version]), weight);
}

/**
 * Weights count among the groups of one folder: against the programs of the person at the desk it is the folder of all
 * our groups that weighs. It is light as long as every group in which something runs is throttled. `busy` names those of
 * which that is known, `cores` is their weight else.
 */
export function weighTogether({ version, parent }: Control, cores: number, busy: ReadonlySet<string>): void {
  if (!existsSync(parent)) return; // the executor was closed and took its groups along
  const groups = readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    // A supervisor alone is nobody, unless it is about to start something.
    .filter(({ name }) => busy.has(name) || groupMembers(join(parent, name)).length > 1)
    .map(({ name }) => join(parent, name));
  if (groups.length > 0 && groups.every((group) => isThrottled(version, group))) {
    setIdle(version, parent);
    return;
  }
  if (existsSync(join(parent, 'cpu.idle'))) writeControl(join(parent, 'cpu.idle'), '0');
  setCores(version, parent, cores);
}

function isThrottled(version: Control['version'], group: string): boolean {
  return version === 'v1'
    ? readSmallFile(join(group, 'cpu.cfs_quota_us'))?.trim() !== '-1'
    : readSmallFile(join(group, 'cpu.max'))?.startsWith('max') === false;
}

/** Runs only when nobody else wants to, where the kernel knows that (Linux 5.15); else weighs least. */
function setIdle(version: Control['version'], group: string): void {
  if (!writeControl(join(group, 'cpu.idle'), '1')) {
    writeControl(join(group, weightFiles[version]), weightMin[version]);
  }
}
