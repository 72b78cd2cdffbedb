import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import type { Executor, ProcessEnd, ProcessRequest, RunningProcess } from '../ports.ts';
import { untilLetGo } from './alive-watch.ts';
import { groupMembers, removeGroup } from './cgroup.ts';
import { type Identity, readEnd, readIdentity, type TrackingName } from './identity.ts';
import { killTree } from './kill-tree.ts';
import { groupsFolder, tidy, tidyAll } from './leftovers.ts';
import { readBootId } from './process-table.ts';
import { readSmallFile } from './small-file.ts';
import { Supervisor } from './supervisor.ts';
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
}

/** Supervisors that wait for their next tree; more than these are let go. */
const idleMax = 16;
/** Homes remembered as settled; of others the files tell. */
const settledMax = 1000;
const allTrackings: readonly TrackingName[] = ['cgroup-v2', 'cgroup-v1', 'subreaper', 'session'];

/**
 * Starts the executor: finds out by trying how processes can be tracked here, and removes what dead supervisors left.
 *
 * In a home it writes `identity` and `exit`, a few hundred bytes each, and the job's own `log`; nothing else.
 * In its own folder there is one folder per supervisor: `identity`, `home` (whose tree it has), and two FIFOs.
 * Throws `Fault` (`supervisor-failed`) when no supervisor can be had at all.
 */
export async function openExecutor(options: ExecutorOptions): Promise<Executor> {
  mkdirSync(options.folder, { recursive: true });
  let failure: unknown;
  for (const tracking of options.trackings ?? allTrackings) {
    const groups = groupsFolder(tracking, options.folder);
    const command = shellCommand(tracking, options.architecture);
    if (groups === undefined || command === undefined) continue;
    tidyAll(options.folder, groups);
    const executor = new ProcessExecutor(options, tracking, groups, command);
    try {
      await executor.tryOut();
      return executor;
    } catch (error) {
      failure = error;
      await executor.close();
    }
  }
  throw new Fault('supervisor-failed', 'Cannot start processes: no kind of tracking works here', { cause: failure });
}

/** The tree of a home, from its start until nothing of it is left. */
interface Tree {
  readonly supervisor: Supervisor;
  readonly id: string;
}

class ProcessExecutor implements Executor {
  readonly tracking: TrackingName;
  readonly #options: ExecutorOptions;
  readonly #groups: string;
  readonly #command: readonly string[];
  readonly #bootId = readBootId();
  /** Folders of this executor's living supervisors. */
  readonly #own = new Map<string, Supervisor>();
  readonly #idle: Supervisor[] = [];
  readonly #trees = new Map<string, Tree>();
  /** Homes of which nothing was left, until someone asks: for short jobs this saves reading their files again. */
  readonly #settled = new Set<string>();
  #made = 0;

  constructor(options: ExecutorOptions, tracking: TrackingName, groups: string, command: readonly string[]) {
    this.#options = options;
    this.tracking = tracking;
    this.#groups = groups;
    this.#command = command;
  }

  /** Makes the first supervisor and checks that its processes would be found. */
  async tryOut(): Promise<void> {
    const supervisor = await this.#open();
    const { group, pid } = supervisor.identity;
    if (group !== '' && !groupMembers(group).includes(pid)) {
      throw new Fault('supervisor-failed', `Cannot track by ${this.tracking}: "${group}" does not hold process ${pid}`);
    }
    this.#idle.push(supervisor);
  }

  async start(request: ProcessRequest): Promise<RunningProcess> {
    const supervisor = this.#takeIdle() ?? (await this.#open());
    const { home, id } = request;
    if (this.#trees.has(home)) {
      this.#idle.push(supervisor);
      throw new Fault('already-started', `Cannot start in "${home}": a job was started there`);
    }
    this.#trees.set(home, { supervisor, id });
    this.#settled.delete(home);
    try {
      const { startedAtMs, ended } = await supervisor.run(request);
      return { startedAtMs, ended: ended.finally(() => this.#settleEnded(home)) };
    } catch (error) {
      this.#settle(home);
      throw error;
    }
  }

  async adopt(home: string): Promise<RunningProcess | undefined> {
    const identity = readIdentity(home);
    if (identity === undefined) return undefined;
    return { startedAtMs: identity.writtenAtMs, ended: this.#endOf(home, identity) };
  }

  async kill(home: string, graceMs: number): Promise<void> {
    if (this.#settled.delete(home)) return;
    const identity = this.#identityOf(home);
    if (identity === undefined) return;
    await killTree(identity, graceMs, this.#options.clock);
    if (this.#trees.has(home)) this.#settle(home);
    else tidy(identity.folder);
  }

  async processes(home: string): Promise<readonly number[]> {
    const identity = this.#identityOf(home);
    return identity === undefined ? [] : findProcesses(identity);
  }

  /** Lets all supervisors go and waits for the idle ones. `ended` of trees that still run then never resolves. */
  async close(): Promise<void> {
    const busy = new Set([...this.#trees.values()].map(({ supervisor }) => supervisor));
    const all = [...this.#own.values()];
    for (const supervisor of all) supervisor.letGo();
    for (const supervisor of all) {
      if (busy.has(supervisor)) supervisor.abandon();
      else await supervisor.gone;
    }
    removeGroup(this.#groups);
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
    const group = this.#groups === '' ? '' : join(this.#groups, name);
    mkdirSync(folder);
    if (group !== '') mkdirSync(group);
    const place = { folder, group, tracking: this.tracking, command: this.#command };
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
    if (home === undefined) tidy(supervisor.place.folder, supervisor.place.group);
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
    this.#trees.delete(home);
    if (supervisor.isGone) tidy(supervisor.place.folder, supervisor.place.group);
    else if (this.#idle.length < idleMax) this.#idle.push(supervisor);
    else supervisor.letGo();
  }

  /** By what the tree of this home is found; nothing when nothing of it can be left. */
  #identityOf(home: string): Identity | undefined {
    const tree = this.#trees.get(home);
    if (tree) return { ...tree.supervisor.identity, id: tree.id };
    const identity = readIdentity(home);
    if (identity === undefined || identity.bootId !== this.#bootId || this.#own.has(identity.folder)) return undefined;
    // A supervisor gets its next tree only when nothing is left of the one before.
    return readSmallFile(join(identity.folder, 'home')) === `${home}\n` ? identity : undefined;
  }

  async #endOf(home: string, identity: Identity): Promise<ProcessEnd> {
    if (identity.bootId !== this.#bootId) return { kind: 'lost', message: 'the machine went down while it ran' };
    const end = readEnd(home, identity);
    if (end.kind !== 'lost') return end;
    await untilLetGo(identity.folder);
    return readEnd(home, identity);
  }
}
