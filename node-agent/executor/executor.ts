import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import type {
  Executor,
  FreezingName,
  Frozen,
  LimitName,
  ProcessEnd,
  ProcessLimits,
  ProcessRequest,
  RunningProcess,
  Throttle,
  ThrottleFacts,
} from '../ports.ts';
import { untilLetGo } from './alive-watch.ts';
import { groupMembers, removeGroup } from './cgroup.ts';
import { type Controls, controlsOf, findControls, GroupControls } from './controls.ts';
import { FrozenTrees, findFreezer, findFreezing } from './frozen-trees.ts';
import { type Identity, readEnd, readIdentity, type TrackingName } from './identity.ts';
import { killTree } from './kill-tree.ts';
import { groupsFolder, groupsName, tidy, tidyAll } from './leftovers.ts';
import { LimitWatch } from './limit-watch.ts';
import { readBootId } from './process-table.ts';
import { readWords } from './small-file.ts';
import { Supervisor } from './supervisor.ts';
import { Throttles } from './throttle.ts';
import { findProcesses, shellCommand } from './tracking.ts';

/** What an executor needs. */
export interface ExecutorOptions {
  /** Where supervisors have their folders (`<root>/supervisors`). One executor at a time. */
  readonly folder: string;
  readonly clock: Clock;
  /** `os.arch()` of this machine. */
  readonly architecture: string;
  /** The kinds of tracking to try, best first; all of them when absent. */
  readonly trackings?: readonly TrackingName[];
  /** The kinds of freezing to try; all of them when absent. SIGSTOP is always left. */
  readonly freezings?: readonly FreezingName[];
  /** Whether control groups may limit what jobs use; true when absent. */
  readonly controls?: boolean;
}

/** Supervisors that wait for their next tree; more than these are let go. */
const idleMax = 16;
/** Homes remembered as settled; of others the files tell. */
const settledMax = 1000;
const allFreezings: readonly FreezingName[] = ['cgroup-v2', 'cgroup-v1', 'stop'];
const allTrackings: readonly TrackingName[] = ['cgroup-v2', 'cgroup-v1', 'subreaper', 'session'];

/**
 * Starts the executor: finds out by trying how processes can be tracked here, and removes what dead supervisors left.
 *
 * In a home it writes `identity` and `exit`, a few hundred bytes each, and the job's own `log`; nothing else.
 * In its own folder there is one folder per supervisor: `identity`, `home` (whose tree it has), two FIFOs, and while
 * its tree is stopped by signals or throttled `stopped` and `throttled`: how it was before.
 * Throws `Fault` (`supervisor-failed`) when no supervisor can be had at all.
 */
export async function openExecutor(options: ExecutorOptions): Promise<Executor> {
  mkdirSync(options.folder, { recursive: true });
  let failure: unknown;
  for (const tracking of options.trackings ?? allTrackings) {
    const groups = groupsFolder(tracking, options.folder);
    const command = shellCommand(tracking, options.architecture);
    if (groups === undefined || command === undefined) continue;
    const v2 = tracking === 'cgroup-v2' ? groups : '';
    const name = groupsName(options.folder);
    const freezings = options.freezings ?? allFreezings;
    const freezer = findFreezer(tracking, groups, freezings, name);
    const found: Controls = { ...findControls(v2, name), ...freezer };
    for (const controls of options.controls === false ? [{}] : [found, {}]) {
      const freezing = findFreezing(tracking, groups, freezings, controls);
      const parents = [...new Set([groups, ...Object.values(found).map(({ parent }) => parent)])].filter(Boolean);
      tidyAll(options.folder, parents);
      const executor = new ProcessExecutor(options, { tracking, freezing, groups, controls, parents }, command);
      try {
        await executor.tryOut();
        return executor;
      } catch (error) {
        failure = error;
        await executor.close();
      }
    }
  }
  throw new Fault('supervisor-failed', 'Cannot start processes: no kind of tracking works here', { cause: failure });
}

/** The tree of a home, from its start until nothing of it is left. */
interface Tree {
  readonly supervisor: Supervisor;
  readonly id: string;
}

/** How processes are held together. */
interface Ways {
  readonly tracking: TrackingName;
  readonly freezing: FreezingName;
  /** The folder of the groups that track; '' for none. */
  readonly groups: string;
  readonly controls: Controls;
  /** All folders that hold groups. */
  readonly parents: readonly string[];
}

class ProcessExecutor implements Executor {
  readonly tracking: TrackingName;
  readonly freezing: FreezingName;
  readonly #frozen: FrozenTrees;
  readonly #throttles: Throttles;
  readonly #options: ExecutorOptions;
  readonly #ways: Ways;
  readonly #command: readonly string[];
  readonly #bootId = readBootId();
  /** Folders of this executor's living supervisors. */
  readonly #own = new Map<string, Supervisor>();
  readonly #idle: Supervisor[] = [];
  readonly #trees = new Map<string, Tree>();
  /** Homes of which nothing was left, until someone asks: for short jobs this saves reading their files again. */
  readonly #settled = new Set<string>();
  #made = 0;

  constructor(options: ExecutorOptions, ways: Ways, command: readonly string[]) {
    this.#options = options;
    this.tracking = ways.tracking;
    this.freezing = ways.freezing;
    this.#throttles = new Throttles({
      clock: options.clock,
      controls: ways.controls,
      cores: availableParallelism(),
      busy: () => new Set([...this.#trees.values()].map(({ supervisor }) => basename(supervisor.place.folder))),
    });
    const freezerParent = ways.controls.freezer?.parent ?? '';
    this.#frozen = new FrozenTrees({ clock: options.clock, freezing: ways.freezing, freezerParent });
    this.#ways = ways;
    this.#command = command;
  }

  /** Makes the first supervisor and checks that its processes would be found. */
  async tryOut(): Promise<void> {
    const supervisor = await this.#open();
    const { group, pid } = supervisor.identity;
    for (const folder of [group, ...supervisor.place.controls.folders]) {
      if (folder === '' || groupMembers(folder).includes(pid)) continue;
      throw new Fault('supervisor-failed', `Cannot use control groups: "${folder}" does not hold process ${pid}`);
    }
    this.#idle.push(supervisor);
  }

  async start(request: ProcessRequest): Promise<RunningProcess> {
    const supervisor = await this.#takeFor(request.limits);
    const { home, id } = request;
    if (this.#trees.has(home)) {
      this.#idle.push(supervisor);
      throw new Fault('already-started', `Cannot start in "${home}": a job was started there`);
    }
    this.#trees.set(home, { supervisor, id });
    this.#settled.delete(home);
    try {
      const { startedAtMs, ended } = await supervisor.run(request);
      this.#throttles.balance();
      return { startedAtMs, ended: ended.finally(() => this.#settleEnded(home)) };
    } catch (error) {
      this.#settle(home);
      throw error;
    }
  }

  async adopt(home: string): Promise<RunningProcess | undefined> {
    const identity = readIdentity(home);
    if (identity === undefined) return undefined;
    return { startedAtMs: this.#startOf(identity), ended: this.#endOf(home, identity) };
  }

  async kill(home: string, graceMs: number): Promise<void> {
    if (this.#settled.delete(home)) return;
    const identity = this.#identityOf(home);
    if (identity === undefined) return;
    this.#frozen.leave(home);
    const thaw = () => this.#frozen.thaw(home, identity);
    await killTree(identity, graceMs, this.#options.clock, thaw);
    thaw(); // also a supervisor that was frozen alone
    if (!this.#trees.has(home)) this.#throttles.forget(identity.folder);
    if (this.#trees.has(home)) this.#settle(home);
    else tidy(identity.folder, this.#ways.parents);
  }

  async processes(home: string): Promise<readonly number[]> {
    const identity = this.#identityOf(home);
    return identity === undefined ? [] : findProcesses(identity);
  }

  async freeze(home: string): Promise<Frozen> {
    const identity = this.#identityOf(home);
    return identity ? this.#frozen.freeze(home, identity) : { processes: 0, tookMs: 0, missed: [] };
  }

  async thaw(home: string): Promise<void> {
    const identity = this.#identityOf(home);
    if (identity) this.#frozen.thaw(home, identity);
  }

  async isFrozen(home: string): Promise<boolean> {
    const identity = this.#identityOf(home);
    return identity !== undefined && this.#frozen.isFrozen(home, identity);
  }

  async throttle(home: string, throttle: Throttle | undefined): Promise<ThrottleFacts> {
    const identity = this.#identityOf(home);
    if (identity === undefined) return { cores: 'none', weight: 'none', io: 'none', missed: [] };
    return this.#throttles.set(identity, throttle);
  }

  watchLimits(home: string, limits: ProcessLimits, tell: (limit: LimitName) => void): { close(): void } {
    const identity = this.#identityOf(home);
    // Of a tree that has ended already its supervisor has said everything.
    if (identity === undefined) return { close: () => {} };
    const controls = controlsOf(this.#ways.controls, identity.folder);
    return new LimitWatch(
      { clock: this.#options.clock, controls, processes: () => findProcesses(identity) },
      limits,
      tell,
    );
  }

  /** Lets all supervisors go and waits for the idle ones. `ended` of trees that still run then never resolves. */
  async close(): Promise<void> {
    this.#frozen.close();
    const busy = new Set([...this.#trees.values()].map(({ supervisor }) => supervisor));
    const all = [...this.#own.values()];
    for (const supervisor of all) supervisor.letGo();
    for (const supervisor of all) {
      if (busy.has(supervisor)) supervisor.abandon();
      else await supervisor.gone;
    }
    for (const parent of this.#ways.parents) removeGroup(parent);
  }

  /** A supervisor whose groups have these limits. */
  async #takeFor(limits: ProcessLimits): Promise<Supervisor> {
    const idle = this.#takeIdle();
    if (idle?.place.controls.set(limits)) return idle;
    // What an earlier tree left there (files in memory) does not go below the limit: only a new group has room.
    idle?.letGo();
    const fresh = await this.#open();
    if (fresh.place.controls.set(limits)) return fresh;
    fresh.letGo();
    throw new Fault('start-failed', `Cannot limit a job to ${JSON.stringify(limits)}: the kernel refuses`);
  }

  #takeIdle(): Supervisor | undefined {
    let supervisor = this.#idle.pop();
    while (supervisor?.isGone) supervisor = this.#idle.pop();
    return supervisor;
  }

  async #open(): Promise<Supervisor> {
    // The clock keeps names apart from those of earlier agents, the count from each other.
    const name = `${this.#options.clock.nowMs().toString(36)}-${this.#made++}`;
    const folder = join(this.#options.folder, name);
    const group = this.#ways.groups === '' ? '' : join(this.#ways.groups, name);
    const controls = new GroupControls(this.#ways.controls, name);
    mkdirSync(folder);
    if (group !== '') mkdirSync(group);
    controls.make();
    const place = { folder, group, controls, tracking: this.tracking, command: this.#command };
    const supervisor = new Supervisor(place, this.#options.clock);
    this.#own.set(folder, supervisor);
    background(supervisor.gone.then(() => this.#forget(supervisor)));
    await supervisor.ready;
    return supervisor;
  }

  /** What a dead supervisor left goes now, or together with the rest of its tree. */
  #forget(supervisor: Supervisor): void {
    this.#own.delete(supervisor.place.folder);
    const home = [...this.#trees].find(([, tree]) => tree.supervisor === supervisor)?.[0];
    if (home === undefined) tidy(supervisor.place.folder, this.#ways.parents);
    else this.#settle(home);
  }

  #settleEnded(home: string): void {
    this.#settle(home);
    if (!this.#trees.has(home) && this.#settled.size < settledMax) this.#settled.add(home);
  }

  /** When nothing is left of a tree, its supervisor may have the next. */
  #settle(home: string): void {
    const identity = this.#identityOf(home);
    const supervisor = this.#trees.get(home)?.supervisor;
    if (!identity || !supervisor || supervisor.isBusy || findProcesses(identity).length > 0) return;
    if (this.#frozen.has(home)) this.#frozen.thaw(home, identity); // the next tree of this supervisor is not frozen
    this.#trees.delete(home);
    const wasThrottled = this.#throttles.has(identity.folder);
    this.#throttles.forget(identity.folder);
    if (supervisor.isGone) tidy(supervisor.place.folder, this.#ways.parents);
    else if (this.#idle.length < idleMax && !supervisor.isSpent && !wasThrottled) this.#idle.push(supervisor);
    else supervisor.letGo();
  }

  /** By what the tree of this home is found; nothing when nothing of it can be left. */
  #identityOf(home: string): Identity | undefined {
    const tree = this.#trees.get(home);
    if (tree) return { ...tree.supervisor.identity, id: tree.id };
    const identity = readIdentity(home);
    if (identity === undefined || identity.bootId !== this.#bootId || this.#own.has(identity.folder)) return undefined;
    // A supervisor gets its next tree only when nothing is left of the one before.
    return readWords(join(identity.folder, 'home')) === `${home}\n` ? identity : undefined;
  }

  /** By the time since boot: the wall clock may have jumped since, and a time limit must not. */
  #startOf({ bootId, uptimeS, writtenAtMs }: Identity): number {
    if (bootId !== this.#bootId) return writtenAtMs;
    const { clock } = this.#options;
    return clock.nowMs() - Math.max(0, clock.sinceBootMs() - uptimeS * 1_000);
  }

  async #endOf(home: string, identity: Identity): Promise<ProcessEnd> {
    if (identity.bootId !== this.#bootId) return { kind: 'lost', message: 'the machine went down while it ran' };
    const end = readEnd(home, identity);
    if (end.kind !== 'lost') return end;
    await untilLetGo(identity.folder);
    return readEnd(home, identity);
  }
}
