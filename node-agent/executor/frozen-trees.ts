import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { FreezingName, Frozen } from '../ports.ts';
import { freezerOf, makeGroupsFolder } from './cgroup.ts';
import type { Control, Controls } from './controls.ts';
import { FrozenTree } from './freeze.ts';
import { GroupGrip } from './group-grip.ts';
import type { Identity, TrackingName } from './identity.ts';
import { SignalGrip } from './signal-grip.ts';

/** What holding trees still needs. */
export interface FreezePorts {
  readonly clock: Clock;
  /** How trees of this agent are stopped. */
  readonly freezing: FreezingName;
  /** The folder of groups of a freezer besides the groups that track; '' for none. */
  readonly freezerParent: string;
}

/** The trees of an executor that are to stand still. */
export class FrozenTrees {
  readonly #ports: FreezePorts;
  readonly #trees = new Map<string, FrozenTree>();

  constructor(ports: FreezePorts) {
    this.#ports = ports;
  }

  freeze(home: string, identity: Identity): Promise<Frozen> {
    const tree = this.#treeOf(home, identity);
    this.#trees.set(home, tree);
    return tree.freeze();
  }

  thaw(home: string, identity: Identity): void {
    const tree = this.#treeOf(home, identity);
    this.#trees.delete(home);
    if (tree.isFrozen) tree.thaw();
  }

  isFrozen(home: string, identity: Identity): boolean {
    return this.#treeOf(home, identity).isFrozen;
  }

  /** Whether this agent holds it. */
  has(home: string): boolean {
    return this.#trees.has(home);
  }

  /** Stops nothing of it any more; what is stopped stays so until `thaw`. */
  leave(home: string): void {
    this.#trees.get(home)?.leave();
  }

  /** Frozen trees stay so, for the next agent. */
  close(): void {
    for (const tree of this.#trees.values()) tree.leave();
  }

  #treeOf(home: string, identity: Identity): FrozenTree {
    const known = this.#trees.get(home);
    if (known) return known;
    const { clock } = this.#ports;
    const bySignals = new SignalGrip(identity, clock);
    const group = this.#groupOf(identity);
    // What an earlier agent has stopped by signals must be let go by them, too.
    const grip = group === '' || bySignals.isHeld() ? bySignals : new GroupGrip(identity, group, clock);
    return new FrozenTree(grip, clock);
  }

  /** The group whose freezer holds a tree; '' for none. An earlier agent may have had other ways than this one. */
  #groupOf({ group, folder }: Identity): string {
    const { freezing, freezerParent } = this.#ports;
    const groups = [group, freezerParent && join(freezerParent, basename(folder))].filter(Boolean);
    return groups.find((path) => (freezing === 'stop' ? freezerOf(path)?.isAsked : freezerOf(path))) ?? '';
  }
}

/** How trees can be stopped that are tracked like this, of the ways that are allowed. `groups` are those that track. */
export function findFreezing(
  tracking: TrackingName,
  groups: string,
  allowed: readonly FreezingName[],
  controls: Controls,
): FreezingName {
  if (hasOwnFreezer(tracking, groups) && allowed.some((name) => name === tracking)) return tracking;
  return controls.freezer && allowed.includes('cgroup-v1') ? 'cgroup-v1' : 'stop';
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

function hasOwnFreezer(tracking: TrackingName, groups: string): tracking is 'cgroup-v1' | 'cgroup-v2' {
  return tracking === 'cgroup-v1' || (tracking === 'cgroup-v2' && existsSync(join(groups, 'cgroup.freeze')));
}
