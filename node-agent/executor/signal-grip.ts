import { type Clock, delay } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import type { Grip, Held } from './freeze.ts';
import type { Identity } from './identity.ts';
import { type ProcessFacts, readProcess, threadStates } from './process-table.ts';
import { readSmallFile } from './small-file.ts';
import { keyOf, StoppedBefore } from './stopped-before.ts';
import { findFacts } from './tracking.ts';

/** How long processes get to stand still before the tree is looked at anew, in milliseconds. */
const patienceMs = 100;
/** After this time whoever runs is told of; looks from time to time go on trying. */
const holdMaxMs = 3_000;
const firstLookMs = 1;
const lastLookMs = 20;

/**
 * Holds a tree by SIGSTOP to each of its processes, but not its supervisor. SIGTSTP would be politer, but programs may
 * ignore it, and the kernel discards it in the process group of a job, which has no shell above it.
 *
 * Parents are stopped before their children, and go on after them. So the rest converges: whom we have seen stopped starts
 * nobody, and a look begun after that finds all it had started before. And no shell with job control, no `mpirun` ever
 * sees a stopped child, which it would report, or take for ended.
 */
export class SignalGrip implements Grip {
  readonly name = 'stop';
  readonly mustWatch = true;
  readonly #identity: Identity;
  readonly #clock: Clock;
  readonly #before: StoppedBefore;

  constructor(identity: Identity, clock: Clock) {
    this.#identity = identity;
    this.#clock = clock;
    this.#before = new StoppedBefore(identity.folder);
  }

  isHeld(): boolean {
    return this.#before.read() !== undefined;
  }

  async hold(isWanted: () => boolean): Promise<Held> {
    const startedMs = this.#clock.monotonicMs();
    const untouchable = new Set<string>();
    for (;;) {
      const found = findFacts(this.#identity);
      const running = found.filter((facts) => !standsStill(facts));
      const missed = running.filter((facts) => untouchable.has(keyOf(facts)));
      const isOver = !isWanted() || this.#clock.monotonicMs() - startedMs > holdMaxMs;
      if (isWanted()) this.#note(found, running);
      if (isOver || running.length === missed.length) {
        return { processes: found.length, missed: running.map(({ pid }) => pid) };
      }
      await this.#stop(found, running, { untouchable, isWanted });
    }
  }

  letGo(): void {
    const before = this.#before.read();
    if (before === undefined) return;
    const ours = findFacts(this.#identity).filter((facts) => !before.has(keyOf(facts)));
    for (const facts of [...generations(ours)].reverse().flat()) signal(facts, 'SIGCONT');
    this.#before.remove();
  }

  /** Remembers who stood still before the first signal. Whoever ran since then is ours. */
  #note(found: readonly ProcessFacts[], running: readonly ProcessFacts[]): void {
    const kept = this.#before.read();
    const runs = new Set(running.map(keyOf));
    const keys = found.filter(({ state }) => state === 'T').map(keyOf);
    if (kept === undefined) this.#before.write(keys);
    else if ([...kept].some((key) => runs.has(key))) this.#before.write([...kept].filter((key) => !runs.has(key)));
  }

  /** One round: a generation after the other, each when the one before it stands still, or has had its time. */
  async #stop(
    found: readonly ProcessFacts[],
    running: readonly ProcessFacts[],
    { untouchable, isWanted }: { readonly untouchable: Set<string>; isWanted(): boolean },
  ): Promise<void> {
    const runs = new Set(running);
    const untilMs = this.#clock.monotonicMs() + patienceMs;
    for (const generation of generations(found)) {
      if (!isWanted()) return;
      let open = generation.filter((facts) => runs.has(facts) && !untouchable.has(keyOf(facts)));
      for (const facts of open) if (!signal(facts, 'SIGSTOP')) untouchable.add(keyOf(facts));
      open = open.filter((facts) => !untouchable.has(keyOf(facts)));
      for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 2, lastLookMs)) {
        // One that still runs is reason enough to wait: each that stands still is read once.
        while (open.length > 0 && standsStill(again(open.at(-1)))) open.pop();
        if (open.length === 0 || this.#clock.monotonicMs() > untilMs) break;
        await delay(this.#clock, waitMs);
      }
    }
  }
}

/** As it is now; nothing when it is gone. */
function again(facts: ProcessFacts | undefined): ProcessFacts | undefined {
  const now = facts && readProcess(facts.pid);
  return now?.startTicks === facts?.startTicks ? now : undefined;
}

const stoppedOrDead = new Set(['T', 't', 'Z', 'X']);
/** Bit of SIGSTOP in the masks of /proc. */
const stopBit = 1n << 18n;

/**
 * Whether nothing of a process runs, nor will before it is let go: all its threads are stopped, or the rest of them wait
 * in the kernel (for a disk, a FUSE daemon, a child of vfork) with the order to stop before them.
 */
function standsStill(facts: ProcessFacts | undefined): boolean {
  if (facts === undefined) return true;
  const states = threadStates(facts);
  const left = states.filter((state) => !stoppedOrDead.has(state));
  if (left.length === 0) return true;
  if (left.some((state) => state !== 'D')) return false;
  return states.includes('T') || isStopPending(facts.pid);
}

function isStopPending(pid: number): boolean {
  const status = readSmallFile(`/proc/${pid}/status`) ?? '';
  return [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].some(
    ([, mask]) => (BigInt(`0x${mask}`) & stopBit) !== 0n,
  );
}

/** Processes by their distance from the first ones of the tree, parents before their children. */
function generations(found: readonly ProcessFacts[]): readonly (readonly ProcessFacts[])[] {
  const open = new Map(found.map((facts) => [facts.pid, facts]));
  const children = new Map<number, ProcessFacts[]>();
  for (const facts of found) children.set(facts.parent, [...(children.get(facts.parent) ?? []), facts]);
  const all: (readonly ProcessFacts[])[] = [];
  let next: readonly ProcessFacts[] = found.filter(({ parent }) => !open.has(parent));
  while (next.length > 0) {
    all.push(next);
    for (const { pid } of next) open.delete(pid);
    next = next.flatMap(({ pid }) => children.get(pid) ?? []).filter(({ pid }) => open.has(pid));
  }
  // Facts are read one after the other, while ids are given anew: whoever seems to be his own forefather comes last.
  return [...all, [...open.values()]];
}

/** Answers false where nobody of our account may signal it. */
function signal({ pid }: ProcessFacts, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EPERM')) return false;
    if (isSystemError(error, 'ESRCH')) return true;
    throw error;
  }
}
