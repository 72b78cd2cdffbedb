import { background } from '../../base/background.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import type { AttemptId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { unlessAborted } from '../../base/unless-aborted.ts';
import { paceAt } from '../attempts/pace.ts';
import type { BuildOrder, BuildView } from '../ports.ts';
import type { BuildReport } from '../wire.ts';
import { type BuildRunPorts, runBuild } from './build-run.ts';
import type { LocatedOrder } from './specs.ts';
import { TimeLimit } from './time-limit.ts';
import type { YieldingTree } from './tree-yields.ts';

/** What the builds of a node need. */
export interface BuildsPorts extends Omit<BuildRunPorts, 'runs' | 'discard'> {
  /** Processes that may have to yield run now, or have ended. */
  treesChanged(): void;
  readonly log: Log;
  /** Bytes that finished builds nobody uses may take. */
  readonly limitBytes: number;
  /** News for the head. */
  report(report: BuildReport): void;
}

interface Run {
  readonly digest: string;
  readonly stop: AbortController;
  readonly done: Promise<BuildView>;
  readonly cpus: number;
  readonly timeLimit: TimeLimit;
  readonly waiters: Set<AttemptId>;
}

/** The builds of this node: each key is built once, whoever waits; a failed one is not tried again unasked. */
export class Builds {
  readonly #ports: BuildsPorts;
  readonly #runs = new Map<string, Run>();
  /** Keys of those of them whose processes run, or stand still for a while. */
  readonly #running = new Set<string>();
  readonly #ready = new Map<string, { readonly view: BuildView; readonly digest: string }>();
  readonly #failed = new Map<string, { readonly message: string; readonly digest: string; readonly batchId: string }>();
  /** Builds that an earlier agent has begun and nobody has asked this one for. */
  readonly #unclaimed = new Set<string>();
  /** Those that are being removed: until they are gone they may look finished. */
  readonly #going = new Map<string, Promise<void>>();
  /** Who is laid over which build, so that none is removed under a job. */
  readonly #users = new Map<AttemptId, string>();

  constructor(ports: BuildsPorts) {
    this.#ports = ports;
  }

  /**
   * Takes stock after a start: finished builds stay. Unfinished ones go, unless there are attempts that may wait for
   * them (`keepUnfinished`): then they go on, and `ensure` takes them up.
   */
  async restore(keepUnfinished: boolean): Promise<void> {
    const { folders, executor } = this.#ports;
    for (const { key, digest, finished } of await folders.list()) {
      const view = finished ? await folders.find(key) : undefined;
      if (view) this.#ready.set(key, { view, digest });
      else if (keepUnfinished) this.#unclaimed.add(key);
      else {
        await executor.kill(folders.homeOf(key), 0);
        await folders.remove(key);
      }
    }
  }

  /** Ends builds of an earlier agent for which nobody has come: they would go on unseen by whoever sits here. */
  async endUnclaimed(): Promise<void> {
    const { folders, executor } = this.#ports;
    const ends = [...this.#unclaimed].map((key) => this.#remove(key, () => executor.kill(folders.homeOf(key), 0)));
    this.#unclaimed.clear();
    await Promise.all(ends);
  }

  /**
   * The build a job is laid over, made first if needed; nothing when its batch has none. `onWait` is called before a
   * wait. Throws what `runBuild` throws, or the signal's reason; the last to leave stops the build.
   */
  async ensure(located: LocatedOrder, batchId: string, signal: AbortSignal, onWait: () => void) {
    const { order } = located;
    const key = this.#ports.folders.keyOf(order.spec);
    if (key === undefined) return undefined;
    this.#users.set(order.id, key);
    await this.#gone(key, signal);
    const known = this.#ready.get(key)?.view ?? (await this.#find(key, located.buildDigest));
    if (known) return known;
    const failure = this.#failed.get(key);
    if (failure) throw new Fault('build-failed', failure.message);
    onWait();
    await this.#gone(key, signal);
    for (;;) {
      const running = this.#runs.get(key);
      // One that everybody has left is being cleared away; then it is begun anew.
      if (!running?.stop.signal.aborted)
        return this.#join(running ?? this.#start(key, located, batchId), order.id, signal);
      await running.done.catch(() => undefined);
      signal.throwIfAborted();
    }
  }

  /** The attempt has no use for its build any more. */
  release(id: AttemptId): void {
    this.#users.delete(id);
  }

  /** Somebody wants a failed build tried again. */
  retry(digest: string): void {
    for (const [key, failure] of this.#failed) if (failure.digest === digest) this.#failed.delete(key);
  }

  /** Keys hold versions of capabilities: what was built or failed with other ones says nothing now. */
  forgetAll(): void {
    for (const { digest } of this.#ready.values()) this.#report(digest, 'gone', '', '');
    this.#ready.clear();
    this.#failed.clear();
  }

  /** For the hello: where every build stands. */
  reports(): readonly BuildReport[] {
    const ready = [...this.#ready.values()].map(({ digest }) => ({
      digest,
      state: 'ready' as const,
      message: '',
      batchId: '',
    }));
    const failed = [...this.#failed.values()].map((failure) => ({ ...failure, state: 'failed' as const }));
    return [...ready, ...failed];
  }

  /** Those whose processes run: what is just being laid out has none that could be stopped, and will have. */
  trees(): readonly YieldingTree[] {
    const running = [...this.#runs].filter(([key]) => this.#running.has(key));
    return running.map(([key, { cpus, timeLimit }]) => ({
      home: this.#ports.folders.homeOf(key),
      cpus,
      user: '',
      usesGpu: false, // compilers do not
      paced: (share) => timeLimit.setPace({ ...paceAt(timeLimit.pace, this.#ports.clock.nowMs()), share }),
    }));
  }

  async #find(key: string, digest: string): Promise<BuildView | undefined> {
    const view = await this.#ports.folders.find(key);
    if (view) {
      this.#ready.set(key, { view, digest });
      this.#report(digest, 'ready', '', '');
    }
    return view;
  }

  #start(key: string, located: LocatedOrder, batchId: string): Run {
    const { order, buildDigest } = located;
    const { spec, namespace, batch, cpus, memoryBytes } = order;
    const { memoryBytes: asked = 0, diskBytes = 0 } = spec.build?.needs ?? {};
    const limits = { ...order.limits, memoryBytes: asked, diskBytes };
    const buildOrder: BuildOrder = { key, spec, namespace, batch, cpus, memoryBytes, limits };
    const stop = new AbortController();
    const timeLimit = new TimeLimit(this.#ports.clock, spec.build?.timeLimitMs ?? 0);
    const run = {
      digest: buildDigest,
      stop,
      done: this.#run(buildOrder, buildDigest, batchId, timeLimit, stop.signal),
      cpus,
      timeLimit,
      waiters: new Set<AttemptId>(),
    };
    this.#runs.set(key, run);
    this.#unclaimed.delete(key);
    return run;
  }

  async #run(
    order: BuildOrder,
    digest: string,
    batchId: string,
    timeLimit: TimeLimit,
    signal: AbortSignal,
  ): Promise<BuildView> {
    const runs = (isRunning: boolean) => {
      if (isRunning) this.#running.add(order.key);
      else if (!this.#running.delete(order.key)) return;
      this.#ports.treesChanged();
    };
    try {
      const discard = (sent: Promise<void>) => background(this.#remove(order.key, () => sent));
      const view = await runBuild({ ...this.#ports, runs, discard }, order, batchId, timeLimit, signal);
      this.#ready.set(order.key, { view, digest });
      this.#report(digest, 'ready', '', batchId);
      background(this.#evict());
      return view;
    } catch (error) {
      if (error instanceof Fault && error.code === 'build-failed') {
        this.#failed.set(order.key, { message: error.message, digest, batchId });
        this.#report(digest, 'failed', error.message, batchId);
      }
      throw error;
    } finally {
      this.#runs.delete(order.key);
      runs(false);
    }
  }

  async #join(run: Run, id: AttemptId, signal: AbortSignal): Promise<BuildView> {
    run.waiters.add(id);
    let leave = () => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    });
    try {
      return await Promise.race([run.done, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      run.waiters.delete(id);
      if (run.waiters.size === 0) run.stop.abort(new Error('nobody waits for this build any more'));
    }
  }

  /** Removes finished builds that nobody uses, least recently used first, until the rest is within the limit. */
  async #evict(): Promise<void> {
    const { folders, limitBytes, log } = this.#ports;
    const used = new Set(this.#users.values());
    const idle = (await folders.list()).filter(({ key, finished }) => finished && !used.has(key));
    let bytes = idle.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const { key, digest, sizeBytes } of idle.toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
      if (bytes <= limitBytes) return;
      if ([...this.#users.values()].includes(key)) continue; // taken into use while others were removed
      bytes -= sizeBytes;
      this.#ready.delete(key);
      this.#report(digest, 'gone', '', '');
      await this.#remove(key);
      log.info({ key }, 'removed a build that nobody used');
    }
  }

  /** Resolves when nothing of the build is being removed; rejects with the signal's reason. */
  async #gone(key: string, signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#going.get(key) ?? Promise.resolve(), signal);
  }

  /** Whoever wants it meanwhile waits. What cannot be removed is tried again when there are too many once more, or at the next start. */
  #remove(key: string, before: () => Promise<void> = async () => undefined): Promise<void> {
    const { folders, log } = this.#ports;
    const remove = async () => {
      try {
        await before();
        await folders.remove(key);
      } catch (error) {
        log.error({ key, error: messageOf(error) }, 'cannot remove a build that nobody wants any more');
      }
      this.#going.delete(key);
    };
    const gone = remove();
    this.#going.set(key, gone);
    return gone;
  }

  #report(digest: string, state: BuildReport['state'], message: string, batchId: string): void {
    this.#ports.report({ digest, state, message, batchId });
  }
}
