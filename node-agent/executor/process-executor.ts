import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';
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
import { controlsOf } from './controls.ts';
import { FrozenTrees } from './frozen-trees.ts';
import { type Identity, readEnd, readIdentity, type TrackingName } from './identity.ts';
import { killTree } from './kill-tree.ts';
import { tidy } from './leftovers.ts';
import { LimitWatch } from './limit-watch.ts';
import { readBootId } from './process-table.ts';
import { readWords } from './small-file.ts';
import type { Supervisor } from './supervisor.ts';
import { SupervisorPool } from './supervisor-pool.ts';
import { Throttles } from './throttle.ts';
import { findProcesses, isSupervisorAlive } from './tracking.ts';
import type { Ways } from './ways.ts';

/** A tree that this executor has started, until nothing of it is left. */
interface Tree {
  readonly supervisor: Supervisor;
  readonly id: string;
  /** Nothing has been done to it since it started, so that there is nothing to undo. */
  isUntouched: boolean;
}

/** Homes remembered as settled; of others the files tell. */
const settledMax = 1000;
/** Until what a supervisor leaves is looked at again: at first, and at last, in milliseconds; each time twice as long. */
const tidyAgainMs = 100;
const tidyAgainMaxMs = 10_000;
const nothingThrottled: ThrottleFacts = { cores: 'none', weight: 'none', io: 'none', missed: [] };

/**
 * Does with a tree what is asked, found by its home. Trees of this executor it knows; of those that an earlier one has started,
 * or done something to, the files tell.
 */
export class ProcessExecutor implements Executor {
  readonly tracking: TrackingName;
  readonly freezing: FreezingName;
  readonly #clock: Clock;
  readonly #ways: Ways;
  readonly #pool: SupervisorPool;
  readonly #frozen: FrozenTrees;
  readonly #throttles: Throttles;
  readonly #bootId = readBootId();
  readonly #trees = new Map<string, Tree>();
  /** Homes of which nothing was left, until someone asks: for short jobs this saves reading their files again. */
  readonly #settled = new Set<string>();
  readonly #tidying = new Set<Timer>();

  constructor({ folder, clock }: { readonly folder: string; readonly clock: Clock }, ways: Ways) {
    this.#clock = clock;
    this.#ways = ways;
    this.tracking = ways.tracking;
    this.freezing = ways.freezing;
    this.#pool = new SupervisorPool({ folder, clock, ways, gone: (supervisor) => this.#forget(supervisor) });
    this.#throttles = new Throttles({
      clock,
      controls: ways.controls,
      cores: availableParallelism(),
      busy: () => new Set([...this.#trees.values()].map(({ supervisor }) => basename(supervisor.place.folder))),
    });
    this.#frozen = new FrozenTrees({ clock, freezing: ways.freezing, freezerParent: ways.freezerParent });
  }

  /** Rejects with `Fault` when this machine does not have these ways after all; then close it. */
  tryOut(): Promise<void> {
    return this.#pool.tryOut();
  }

  async start(request: ProcessRequest): Promise<RunningProcess> {
    const supervisor = await this.#pool.take(request.limits);
    const { home, id } = request;
    if (this.#trees.has(home)) {
      this.#pool.giveBack(supervisor);
      throw new Fault('already-started', `Cannot start in "${home}": a job was started there`);
    }
    const tree = { supervisor, id, isUntouched: true };
    this.#trees.set(home, tree);
    this.#settled.delete(home);
    try {
      const { startedAtMs, ended } = await supervisor.run(request);
      this.#throttles.balance();
      return { startedAtMs, ended: ended.finally(() => this.#settleEnded(home)) };
    } catch (error) {
      tree.isUntouched = false; // what is there may be of an earlier agent
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
    const identity = this.#touch(home);
    if (identity === undefined) return;
    this.#frozen.leave(home);
    const thaw = () => this.#frozen.thaw(home, identity);
    await killTree(identity, graceMs, this.#clock, thaw, () => this.#isOver(home, identity));
    thaw(); // also a supervisor that was frozen alone
    if (!this.#trees.has(home)) this.#throttles.forget(identity.folder);
    if (this.#trees.has(home)) this.#settle(home);
    else this.#tidySoon(identity.folder, tidyAgainMs);
  }

  async processes(home: string): Promise<readonly number[]> {
    const identity = this.#identityOf(home);
    return identity === undefined ? [] : findProcesses(identity);
  }

  async freeze(home: string): Promise<Frozen> {
    const identity = this.#touch(home);
    return identity ? this.#frozen.freeze(home, identity) : { processes: 0, tookMs: 0, missed: [] };
  }

  async thaw(home: string): Promise<void> {
    if (this.#trees.get(home)?.isUntouched) return;
    const identity = this.#identityOf(home);
    if (identity) this.#frozen.thaw(home, identity);
  }

  async isFrozen(home: string): Promise<boolean> {
    const identity = this.#identityOf(home);
    return identity !== undefined && this.#frozen.isFrozen(home, identity);
  }

  async throttle(home: string, throttle: Throttle | undefined): Promise<ThrottleFacts> {
    if (throttle === undefined && this.#trees.get(home)?.isUntouched) return nothingThrottled;
    const identity = this.#touch(home);
    return identity ? this.#throttles.set(identity, throttle) : nothingThrottled;
  }

  watchLimits(home: string, limits: ProcessLimits, tell: (limit: LimitName) => void): { close(): void } {
    const identity = this.#identityOf(home);
    // Of a tree that has ended already its supervisor has said everything.
    if (identity === undefined) return { close: () => {} };
    const controls = controlsOf(this.#ways.controls, identity.folder);
    return new LimitWatch({ clock: this.#clock, controls, processes: () => findProcesses(identity) }, limits, tell);
  }

  /** Lets all supervisors go and waits for the idle ones. `ended` of trees that still run then never resolves. */
  async close(): Promise<void> {
    for (const timer of this.#tidying) timer.cancel();
    this.#frozen.close();
    await this.#pool.close(new Set([...this.#trees.values()].map(({ supervisor }) => supervisor)));
  }

  /** The supervisor of an earlier agent may still be on its way out, which nothing tells whoever is not its parent. */
  #tidySoon(folder: string, againMs: number): void {
    if (tidy(folder, this.#ways.parents) || againMs > tidyAgainMaxMs) return;
    const timer = this.#clock.setTimer(againMs, () => {
      this.#tidying.delete(timer);
      this.#tidySoon(folder, againMs * 2);
    });
    this.#tidying.add(timer);
  }

  /** What a dead supervisor left goes now, or together with the rest of its tree. */
  #forget(supervisor: Supervisor): void {
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
    else if (wasThrottled) supervisor.letGo();
    else this.#pool.giveBack(supervisor);
  }

  /** Whether its supervisor has nothing to do with it any more. */
  #isOver(home: string, identity: Identity): boolean {
    const tree = this.#trees.get(home);
    if (tree) return !tree.supervisor.isBusy;
    return readEnd(home, identity).kind !== 'lost' || !isSupervisorAlive(identity);
  }

  /** As `#identityOf`, for whoever is about to do something to the tree. */
  #touch(home: string): Identity | undefined {
    const tree = this.#trees.get(home);
    if (tree) tree.isUntouched = false;
    return this.#identityOf(home);
  }

  /** By what the tree of this home is found; nothing when nothing of it can be left. */
  #identityOf(home: string): Identity | undefined {
    const tree = this.#trees.get(home);
    if (tree) return { ...tree.supervisor.identity, id: tree.id };
    const identity = readIdentity(home);
    if (identity === undefined || identity.bootId !== this.#bootId || this.#pool.has(identity.folder)) return undefined;
    // A supervisor gets its next tree only when nothing is left of the one before.
    return readWords(join(identity.folder, 'home')) === `${home}\n` ? identity : undefined;
  }

  /** By the time since boot: the wall clock may have jumped since, and a time limit must not. */
  #startOf({ bootId, uptimeS, writtenAtMs }: Identity): number {
    if (bootId !== this.#bootId) return writtenAtMs;
    return this.#clock.nowMs() - Math.max(0, this.#clock.sinceBootMs() - uptimeS * 1_000);
  }

  async #endOf(home: string, identity: Identity): Promise<ProcessEnd> {
    if (identity.bootId !== this.#bootId) return { kind: 'lost', message: 'the machine went down while it ran' };
    const end = readEnd(home, identity);
    if (end.kind !== 'lost') return end;
    await untilLetGo(identity.folder);
    return readEnd(home, identity);
  }
}
