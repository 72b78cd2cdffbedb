import { type Clock, delay } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import { setFrozen } from './cgroup.ts';
import type { Identity } from './identity.ts';
import { findProcesses } from './tracking.ts';

/** Waits between two looks for what is left: they grow from the first to the last. */
const firstLookMs = 1;
const lastLookMs = 100;
/** Rounds of SIGSTOP that a tree gets to stand still; one that forks faster is killed as it is, sweep after sweep. */
const stopRoundsMax = 20;

/**
 * Ends everything of a tree but its supervisor: SIGTERM to all, and when `graceMs` have passed SIGKILL to what is left,
 * again and again until a look finds nobody. It stays with processes the kernel cannot end (they hang in a dead
 * filesystem), looking ten times a second; a pidfd would tell, but Node has none. `thaw` lets a frozen tree go on: signals are
 * sent before, so that nothing runs in between. `isOver` says whether its supervisor is done with it: one that is not may be
 * just about to start what is to be killed.
 */
export async function killTree(
  identity: Identity,
  graceMs: number,
  clock: Clock,
  thaw: () => void,
  isOver: () => boolean,
): Promise<void> {
  const first = await begun(identity, clock, thaw, isOver);
  if (first.length === 0) return;
  if (graceMs > 0) {
    signalAll(first, 'SIGTERM');
    wake(identity, first, thaw); // a stopped process hears SIGTERM only when it goes on
    const untilMs = clock.monotonicMs() + graceMs;
    for (let waitMs = firstLookMs; clock.monotonicMs() < untilMs; waitMs = Math.min(waitMs * 2, lastLookMs)) {
      await delay(clock, Math.min(waitMs, untilMs - clock.monotonicMs()));
      if (findProcesses(identity).length === 0 && isOver()) return;
    }
  }
  await killAll(identity, clock, thaw, isOver);
}

/** Its processes, once there are any; nobody when it is over. */
async function begun(identity: Identity, clock: Clock, thaw: () => void, isOver: () => boolean) {
  for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 2, lastLookMs)) {
    const isDone = isOver();
    const found = findProcesses(identity);
    if (found.length > 0 || isDone) return found;
    wake(identity, [], thaw); // a supervisor that was frozen alone starts nothing, and ends nothing
    await delay(clock, waitMs);
  }
}

async function killAll(identity: Identity, clock: Clock, thaw: () => void, isOver: () => boolean): Promise<void> {
  let waitMs = firstLookMs;
  for (let sweep = 1; ; sweep++) {
    // The first sweep is enough for nearly all; what forks as fast as we look must stand still for the next ones.
    const left = sweep === 1 ? findProcesses(identity) : holdStill(identity);
    signalAll(left, 'SIGKILL');
    wake(identity, [], thaw); // also when nobody is left: the supervisor was held with them
    if (left.length === 0 && isOver()) return;
    await delay(clock, waitMs);
    waitMs = Math.min(waitMs * 2, lastLookMs);
  }
}

/** Stops a tree from growing, and says who is in it. */
function holdStill(identity: Identity): readonly number[] {
  if (identity.group !== '' && setFrozen(identity.group, true)) return findProcesses(identity);
  const stopped = new Set<number>();
  for (let round = 0; round < stopRoundsMax; round++) {
    const fresh = findProcesses(identity).filter((pid) => !stopped.has(pid));
    if (fresh.length === 0) break;
    signalAll(fresh, 'SIGSTOP');
    for (const pid of fresh) stopped.add(pid);
  }
  return findProcesses(identity);
}

/** Lets a frozen or stopped tree go on. Under the freezer of cgroup v1 even SIGKILL waits for this. */
function wake(identity: Identity, pids: readonly number[], thaw: () => void): void {
  if (identity.group !== '') setFrozen(identity.group, false);
  signalAll(pids, 'SIGCONT');
  thaw();
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      // Gone already; or it changed its user, which the next look shows as still there.
      if (!isSystemError(error, 'ESRCH', 'EPERM')) throw error;
    }
  }
}
