import { basename, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { FreezingName, Frozen } from '../ports.ts';
import { freezerOf } from './cgroup.ts';
import { FrozenTree, type Grip } from './freeze.ts';
import { GroupGrip } from './group-grip.ts';
import type { Identity } from './identity.ts';
import { SignalGrip } from './signal-grip.ts';

/** What holding trees still needs. */
export interface FreezePorts {
  readonly clock: Clock;
  /** How trees of this agent are stopped. */
  readonly freezing: FreezingName;
  /** The folder of groups of the freezer of version 1, besides the groups that track; '' for none. */
  readonly freezerParent: string;
}

/** The trees of an executor that are to stand still. An earlier agent may have stopped them in another way than this one would. */
export class FrozenTrees {
  readonly #ports: FreezePorts;
  readonly #trees = new Map<string, FrozenTree>();

  constructor(ports: FreezePorts) {
    this.#ports = ports;
  }

  freeze(home: string, identity: Identity): Promise<Frozen> {
    const tree = this.#trees.get(home) ?? new FrozenTree(this.#gripFor(identity), this.#ports.clock);
    this.#trees.set(home, tree);
    return tree.freeze();
  }

  /** Lets it go, by whichever agent and in whichever ways it is held. Throws when the kernel refuses; then it is held still. */
  thaw(home: string, identity: Identity): void {
    this.leave(home);
    for (const grip of this.#gripsOf(identity)) if (grip.isHeld()) grip.letGo();
    this.#trees.delete(home);
  }

  isFrozen(home: string, identity: Identity): boolean {
    return this.#trees.get(home)?.isFrozen === true || this.#gripsOf(identity).some((grip) => grip.isHeld());
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

  /** What is held already stays held in that way. Of a tree that an agent with other ways has started, what it has must do. */
  #gripFor(identity: Identity): Grip {
    const [bySignals, ...byGroups] = this.#gripsOf(identity);
    const grips = [bySignals, ...byGroups];
    const fitting = grips.find((grip) => grip.isHeld()) ?? grips.find(({ name }) => name === this.#ports.freezing);
    return fitting ?? byGroups[0] ?? bySignals;
  }

  /** Every way in which this tree can be held. */
  #gripsOf(identity: Identity): readonly [Grip, ...Grip[]] {
    const { clock, freezerParent } = this.#ports;
    const beside = freezerParent && join(freezerParent, basename(identity.folder));
    const groups = [...new Set([identity.group, beside])].filter((group) => group !== '');
    const byGroups = groups.flatMap((group) => {
      const version = freezerOf(group)?.version;
      return version ? [new GroupGrip(identity, { version, group }, clock)] : [];
    });
    return [new SignalGrip(identity, clock), ...byGroups];
  }
}
