import { basename } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Throttle, ThrottleFacts } from '../ports.ts';
import type { Controls } from './controls.ts';
import type { Identity } from './identity.ts';
import { type CanTell, canTell } from './tell-threads.ts';
import { isThrottled, releaseGroup, throttleGroup, weighTogether, weightOf } from './throttle-group.ts';
import { processorsFor, releaseProcesses, type TellPorts, throttleProcesses } from './throttle-processes.ts';
import { ThrottledBefore } from './throttled-before.ts';

/** What throttling needs. */
export interface ThrottlePorts {
  readonly clock: Clock;
  readonly controls: Controls;
  /** Of this machine. */
  readonly cores: number;
  /** Names of the supervisors of this agent that have trees. */
  busy(): ReadonlySet<string>;
}

/**
 * The trees of an executor that get less than they would take. A control group that limits processor time limits it for all of
 * a tree, whatever it starts. Without one each process is told, again until a look finds nobody new: children have
 * from their parents what they are told. The idle I/O class is always a matter of each process.
 */
export class Throttles {
  readonly #ports: ThrottlePorts;
  /** Folders of supervisors whose trees were ever throttled: none of them gets another tree. */
  readonly #ever = new Set<string>();
  /** The cores of those trees that are to be throttled, by the folders of their supervisors. */
  readonly #wanted = new Map<string, { readonly identity: Identity; readonly cores: number }>();
  /** How trees were, by the folders of their supervisors: also what the disk had no room for. */
  readonly #before = new Map<string, ThrottledBefore>();
  /** Found out once, when it is first needed. */
  #can: Promise<CanTell> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ports: ThrottlePorts) {
    this.#ports = ports;
    this.#weigh();
  }

  /** What is asked happens one after the other. */
  set(identity: Identity, throttle: Throttle | undefined): Promise<ThrottleFacts> {
    if (throttle) this.#wanted.set(identity.folder, { identity, cores: throttle.cores });
    else this.#wanted.delete(identity.folder);
    // From now on: when its tree ends before its turn comes, the supervisor gets no other one, who would be throttled.
    if (throttle) this.#ever.add(identity.folder);
    const result = this.#last.then(() => (throttle ? this.#throttle(identity, throttle) : this.#release(identity)));
    // Whoever asked hears of a failure; the next one is not its heir.
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Whether the tree of this supervisor was ever throttled by this agent. */
  has(supervisorFolder: string): boolean {
    return this.#ever.has(supervisorFolder);
  }

  /** A tree has begun or ended, which may change what all trees together may weigh. */
  balance(): void {
    if (this.#ever.size > 0) this.#weigh();
  }

  forget(supervisorFolder: string): void {
    this.#wanted.delete(supervisorFolder);
    this.#before.delete(supervisorFolder);
    if (this.#ever.delete(supervisorFolder)) this.#weigh();
  }

  async #tellPorts(): Promise<TellPorts> {
    this.#can ??= canTell();
    return { clock: this.#ports.clock, can: await this.#can };
  }

  /** All jobs together weigh as much as this machine has cores, unless all of them are throttled. */
  #weigh(): void {
    const { cpu } = this.#ports.controls;
    if (cpu) weighTogether(cpu, this.#ports.cores, this.#ports.busy());
  }

  async #throttle(identity: Identity, { cores }: Throttle): Promise<ThrottleFacts> {
    const { cpu } = this.#ports.controls;
    const name = basename(identity.folder);
    const weight = cpu && weightOf(cpu, name);
    if (cpu === undefined || weight === undefined) return this.#hold(identity);
    const before = this.#beforeOf(identity.folder);
    // First: what is not known to be throttled would stay so.
    before.begin({ weight });
    if (!throttleGroup(cpu, name, cores)) return this.#hold(identity);
    this.#weigh();
    const told = await throttleProcesses(identity, undefined, before, await this.#tellPorts());
    return { ...told, cores: 'cgroup', weight: 'cgroup' };
  }

  /**
   * Without a control group, all throttled trees share as many processors as they may have cores together: a part of a
   * core cannot be had otherwise, and trees that had one each would crowd it.
   */
  async #hold(identity: Identity): Promise<ThrottleFacts> {
    const cores = [...this.#wanted.values()].reduce((sum, wanted) => sum + wanted.cores, 0);
    const tell = async (one: Identity) => {
      const before = this.#beforeOf(one.folder);
      return throttleProcesses(one, processorsFor(one, cores), before, await this.#tellPorts());
    };
    const facts = await tell(identity);
    for (const [folder, { identity: other }] of this.#wanted) {
      const held = this.#beforeOf(folder).read()?.heldTo;
      // Those that were not told yet have their turn; a later one of theirs knows them all.
      if (folder !== identity.folder && held !== undefined && held !== processorsFor(other, cores)) await tell(other);
    }
    return facts;
  }

  #beforeOf(supervisorFolder: string): ThrottledBefore {
    const known = this.#before.get(supervisorFolder) ?? new ThrottledBefore(supervisorFolder);
    this.#before.set(supervisorFolder, known);
    return known;
  }

  async #release(identity: Identity): Promise<ThrottleFacts> {
    const { cpu } = this.#ports.controls;
    const before = this.#before.get(identity.folder) ?? new ThrottledBefore(identity.folder);
    const last = before.read();
    const name = basename(identity.folder);
    // Also what an agent has throttled that died while the disk had no room for its word of it.
    if (cpu && (last?.weight !== undefined || isThrottled(cpu, name))) {
      releaseGroup(cpu, name, last?.weight);
      this.#weigh();
    }
    if (last === undefined) return { cores: 'none', weight: 'none', io: 'none', missed: [] };
    const left = await releaseProcesses(identity, last, await this.#tellPorts());
    before.remove();
    return left;
  }
}
