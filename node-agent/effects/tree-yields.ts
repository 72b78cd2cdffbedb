import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Executor } from '../ports.ts';

/** A process tree that may have to yield: of a job or of a build. */
export interface YieldingTree {
  readonly home: string;
  /** Granted cores. */
  readonly cpus: number;
  /** Whose work it is; empty for several people's. */
  readonly user: string;
  /** Whether it may use a GPU: also where that is not known yet. */
  readonly usesGpu: boolean;
  /** Gets this share of its cores from now on: 1 all, 0 it is stopped. */
  paced(share: number): void;
}

/** What trees are to do. */
export interface Wish {
  /** "asleep": nothing is done to them, the machine is about to sleep; until another wish they get no time. */
  readonly step: 'none' | 'throttle' | 'pause' | 'asleep';
  /** What those do instead that use no GPU; absent: the same. */
  readonly withoutGpu?: 'none' | 'throttle' | 'pause';
  /** For all trees together, while they are throttled. */
  readonly cores: number;
  /** Whose trees go on whatever the step is. */
  readonly exempt: ReadonlySet<string>;
}

/** What brings trees to do it. */
export interface TreeYieldsPorts {
  readonly executor: Pick<Executor, 'freeze' | 'thaw' | 'throttle'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Those that run now. */
  trees(): readonly YieldingTree[];
}

/** Nobody has asked for anything. */
export const noWish: Wish = { step: 'none', cores: 0, exempt: new Set() };
/** After a mechanism failed, until it is tried again, in milliseconds. */
const retryMs = 5_000;

type Act = { readonly kind: 'none' | 'pause' | 'asleep' } | { readonly kind: 'throttle'; readonly cores: number };

interface Handled {
  /** What was last begun; nothing where an earlier agent may have done anything. */
  act: Act | undefined;
  /** What the tree was told last; nothing where that says little. */
  share: number | undefined;
  /** Resolves when `act` has been done, or something newer is wanted. */
  done: Promise<void>;
  /** Resolves when all that was begun has ended. */
  tail: Promise<void>;
}

/**
 * Stops, slows down and lets go on whatever runs here, one thing after the other for each tree. Only to stop waits for
 * nothing: to tell a thousand threads that they have less takes a second, and whoever sits here has no patience then.
 */
export class TreeYields {
  readonly #ports: TreeYieldsPorts;
  readonly #handled = new Map<string, Handled>();
  /** Nothing until the first is known: what an earlier agent stopped must not go on for a moment. */
  #wish: Wish | undefined;
  /** One for all that failed. */
  #retry: Timer | undefined;
  #closed = false;

  constructor(ports: TreeYieldsPorts) {
    this.#ports = ports;
  }

  /** Wants this of all trees. Resolves when each does it, or could not be brought to. */
  async want(wish: Wish): Promise<void> {
    this.#wish = wish;
    await this.apply();
  }

  /** Wants the same of trees that are new. */
  async apply(): Promise<void> {
    const wish = this.#wish;
    if (!wish) return;
    const trees = this.#ports.trees();
    const homes = new Set(trees.map(({ home }) => home));
    for (const [home, handled] of this.#handled) {
      if (homes.has(home)) continue;
      handled.act = undefined; // what it still waits for is not meant for the next tree of that home
      this.#handled.delete(home);
    }
    const share = shareOf(wish, trees);
    await Promise.all(trees.map((tree) => this.#handle(tree, wish, share)));
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
  }

  #handle(tree: YieldingTree, wish: Wish, share: number): Promise<void> {
    const { exempt, withoutGpu } = wish;
    const step = tree.usesGpu ? wish.step : (withoutGpu ?? wish.step);
    const act: Act = exempt.has(tree.user)
      ? { kind: 'none' }
      : step === 'throttle'
        ? { kind: 'throttle', cores: tree.cpus * share }
        : { kind: step };
    const handled = this.#handled.get(tree.home) ?? unhandled();
    this.#handled.set(tree.home, handled);
    if (handled.act && same(handled.act, act)) return handled.done;
    handled.act = act;
    const turn = act.kind === 'pause' ? Promise.resolve() : handled.tail;
    handled.done = turn.then(() => this.#perform(tree, handled, act));
    handled.tail = Promise.all([handled.tail, handled.done]).then(() => undefined);
    return handled.done;
  }

  async #perform(tree: YieldingTree, handled: Handled, act: Act): Promise<void> {
    if (this.#closed || handled.act !== act) return; // something newer is wanted already
    const { executor, log, clock } = this.#ports;
    try {
      if (act.kind === 'asleep') {
        handled.share = undefined; // nothing of it was stopped, so nothing of it is let go on later
        return tree.paced(0);
      }
      if (act.kind === 'pause') {
        const { missed } = await executor.freeze(tree.home);
        if (missed.length > 0) log.warn({ home: tree.home, missed }, 'some processes of a job could not be stopped');
        pace(tree, handled, 0);
        return;
      }
      await executor.thaw(tree.home);
      if (handled.act !== act) return; // by now it is to stop
      // It runs from here on, whatever is said of its cores in a moment.
      if (handled.share === 0) pace(tree, handled, 1);
      // A tree that got its cores back runs at full pace; one that was never slowed down is left alone.
      await executor.throttle(tree.home, act.kind === 'throttle' ? { cores: act.cores } : undefined);
      // What has been stopped meanwhile gets nothing.
      if (handled.act === act) pace(tree, handled, act.kind === 'throttle' ? act.cores / tree.cpus : 1);
    } catch (error) {
      log.error({ home: tree.home, error: messageOf(error) }, `cannot ${verbs[act.kind]} a job; trying again`);
      if (handled.act !== act) return; // something newer is wanted, and on its way
      handled.act = undefined;
      this.#retry ??= clock.setTimer(retryMs, () => {
        this.#retry = undefined;
        if (!this.#closed) background(this.apply());
      });
    }
  }
}

/** Of a tree that nothing was done to by this agent. */
function unhandled(): Handled {
  return { act: undefined, share: undefined, done: Promise.resolve(), tail: Promise.resolve() };
}

function pace(tree: YieldingTree, handled: Handled, share: number): void {
  if (handled.share === share) return;
  handled.share = share;
  tree.paced(share);
}

function shareOf({ cores, exempt }: Wish, trees: readonly YieldingTree[]): number {
  const cpus = trees.filter(({ user }) => !exempt.has(user)).reduce((sum, tree) => sum + tree.cpus, 0);
  return cpus === 0 ? 1 : Math.min(1, cores / cpus);
}

const verbs = { none: 'let go on', pause: 'stop', throttle: 'slow down', asleep: 'put to sleep' };

function same(one: Act, other: Act): boolean {
  if (one.kind !== other.kind) return false;
  return one.kind !== 'throttle' || other.kind !== 'throttle' || one.cores === other.cores;
}
