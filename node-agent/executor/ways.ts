import type { FreezingName } from '../ports.ts';
import { findFreezerFolder } from './cgroup.ts';
import { type Controls, findControls } from './controls.ts';
import { findFreezer, findFreezing } from './find-freezing.ts';
import type { TrackingName } from './identity.ts';
import { groupsFolder, groupsName } from './leftovers.ts';
import { shellCommand } from './tracking.ts';

/** How the processes of an executor's trees are held together. */
export interface Ways {
  readonly tracking: TrackingName;
  readonly freezing: FreezingName;
  /** The command that becomes a supervisor's shell. */
  readonly command: readonly string[];
  /** The folder of the groups that track; '' for none. */
  readonly groups: string;
  readonly controls: Controls;
  /** The folder of groups of the freezer of version 1, also where only an earlier executor has used it; '' for none. */
  readonly freezerParent: string;
  /** All folders that hold groups. */
  readonly parents: readonly string[];
}

/** Of which ways one may be taken. */
export interface WaysOptions {
  /** The executor's: its groups are named for it. */
  readonly folder: string;
  /** `os.arch()` of this machine. */
  readonly architecture: string;
  /** The kinds of tracking to try, best first; all of them when absent. */
  readonly trackings?: readonly TrackingName[];
  /** The kinds of freezing of which one must work; all of them when absent, and then one does. */
  readonly freezings?: readonly FreezingName[];
  /** Whether control groups may limit what jobs use; true when absent. */
  readonly controls?: boolean;
}

const allFreezings: readonly FreezingName[] = ['cgroup-v2', 'cgroup-v1', 'stop'];
const allTrackings: readonly TrackingName[] = ['cgroup-v2', 'cgroup-v1', 'subreaper', 'session'];

/**
 * The ways that this machine seems to have, best first; only a supervisor can tell whether they work. Each is looked for, and
 * its folders of groups are made, when it is asked for: an executor that gave up the one before has removed them.
 */
export function* findWays(options: WaysOptions): Generator<Ways> {
  for (const tracking of options.trackings ?? allTrackings) {
    for (const controls of options.controls === false ? [false] : [true, false]) {
      const ways = waysOf(tracking, controls, options);
      if (ways) yield ways;
    }
  }
}

function waysOf(tracking: TrackingName, isControlled: boolean, options: WaysOptions): Ways | undefined {
  const { folder, architecture, freezings = allFreezings } = options;
  const groups = groupsFolder(tracking, folder);
  const command = shellCommand(tracking, architecture);
  if (groups === undefined || command === undefined) return undefined;
  const name = groupsName(folder);
  const found: Controls = {
    ...findControls(tracking === 'cgroup-v2' ? groups : '', name),
    ...findFreezer(tracking, groups, freezings, name),
  };
  const controls = isControlled ? found : {};
  const freezing = findFreezing(tracking, groups, freezings, controls);
  if (freezing === undefined) return undefined;
  const freezerParent = findFreezerFolder(name) ?? '';
  const parents = new Set([groups, freezerParent, ...Object.values(found).map(({ parent }) => parent)]);
  return { tracking, freezing, command, groups, controls, freezerParent, parents: [...parents].filter(Boolean) };
}
