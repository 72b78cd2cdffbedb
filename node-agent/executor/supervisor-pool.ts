import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import type { ProcessLimits } from '../ports.ts';
import { groupMembers, removeGroup } from './cgroup.ts';
import { GroupControls } from './controls.ts';
import { Supervisor } from './supervisor.ts';
import type { Ways } from './ways.ts';

/** What a pool of supervisors needs. */
export interface PoolPorts {
  /** Where supervisors have their folders. */
  readonly folder: string;
  readonly clock: Clock;
  readonly ways: Ways;
  /** Hears of each supervisor that has ended, when the pool knows it no more; its folder and groups are still there. */
  gone(supervisor: Supervisor): void;
}

/** Supervisors that wait for their next tree; more than these are let go. */
const idleMax = 16;

/** The living supervisors of an executor. Most trees are short: one that has had its tree gets the next. */
export class SupervisorPool {
  readonly #ports: PoolPorts;
  readonly #own = new Map<string, Supervisor>();
  readonly #idle: Supervisor[] = [];
  #made = 0;

  constructor(ports: PoolPorts) {
    this.#ports = ports;
  }

  /** Makes the first supervisor and checks that its processes would be found. Rejects with `Fault` (`supervisor-failed`). */
  async tryOut(): Promise<void> {
    const supervisor = await this.#open();
    const { group, pid } = supervisor.identity;
    for (const folder of [group, ...supervisor.place.controls.folders]) {
      if (folder === '' || groupMembers(folder).includes(pid)) continue;
      throw new Fault('supervisor-failed', `Cannot use control groups: "${folder}" does not hold process ${pid}`);
    }
    this.#idle.push(supervisor);
  }

  /** Whether the supervisor of this folder is one of these. */
  has(folder: string): boolean {
    return this.#own.has(folder);
  }

  /** A supervisor without a tree, whose groups have these limits. Rejects with `Fault` when none can be had. */
  async take(limits: ProcessLimits): Promise<Supervisor> {
    const idle = this.#takeIdle();
    if (idle?.place.controls.set(limits)) return idle;
    // What an earlier tree left there (files in memory) does not go below the limit: only a new group has room.
    idle?.letGo();
    const fresh = await this.#open();
    if (fresh.place.controls.set(limits)) return fresh;
    fresh.letGo();
    throw new Fault('start-failed', `Cannot limit a job to ${JSON.stringify(limits)}: the kernel refuses`);
  }

  /** Takes back one that lives and of whose tree nothing is left. */
  giveBack(supervisor: Supervisor): void {
    if (this.#idle.length < idleMax && !supervisor.isSpent) this.#idle.push(supervisor);
    else supervisor.letGo();
  }

  /** Lets all go, and waits for those that are not busy. */
  async close(busy: ReadonlySet<Supervisor>): Promise<void> {
    const all = [...this.#own.values()];
    for (const supervisor of all) supervisor.letGo();
    for (const supervisor of all) {
      if (busy.has(supervisor)) supervisor.abandon();
      else await supervisor.gone;
    }
    for (const parent of this.#ports.ways.parents) removeGroup(parent);
  }

  #takeIdle(): Supervisor | undefined {
    let supervisor = this.#idle.pop();
    while (supervisor?.isGone) supervisor = this.#idle.pop();
    return supervisor;
  }

  async #open(): Promise<Supervisor> {
    const { clock, ways } = this.#ports;
    // The clock keeps names apart from those of earlier agents, the count from each other.
    const name = `${clock.nowMs().toString(36)}-${this.#made++}`;
    const folder = join(this.#ports.folder, name);
    const group = ways.groups === '' ? '' : join(ways.groups, name);
    const controls = new GroupControls(ways.controls, name);
    mkdirSync(folder);
    if (group !== '') mkdirSync(group);
    controls.make();
    const supervisor = new Supervisor(
      { folder, group, controls, tracking: ways.tracking, command: ways.command },
      clock,
    );
    this.#own.set(folder, supervisor);
    background(supervisor.gone.then(() => this.#forget(supervisor)));
    await supervisor.ready;
    return supervisor;
  }

  #forget(supervisor: Supervisor): void {
    this.#own.delete(supervisor.place.folder);
    this.#ports.gone(supervisor);
  }
}
