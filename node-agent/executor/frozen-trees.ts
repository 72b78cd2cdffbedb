import { basename, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { FreezingName, Frozen } from '../ports.ts';
import { freezerOf } from './cgroup.ts';
import { FrozenTree } from './freeze.ts';
import { GroupGrip } from './group-grip.ts';
import type { Identity } from './identity.ts';
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
