import { setPriority } from 'node:os';
import type { Clock } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import type { ThrottleFacts } from '../ports.ts';
import { niceSessions } from './autogroup.ts';
import { formatCpus, parseCpus } from './cpu-list.ts';
import type { Identity } from './identity.ts';
import { type CanTell, tellThreads } from './tell-threads.ts';
import { findThreads, keyOfThread, type ThreadFacts, threadsOfProcess } from './thread-table.ts';
import type { ThreadBefore, ThrottledBefore, TreeBefore } from './throttled-before.ts';

/** The least that weighs anything against others. */
const niceMax = 19;
/** Looks for threads that are not throttled yet; each finds only what began while the one before it was at work. */
const roundsMax = 5;

/** What telling threads needs. */
export interface TellPorts {
  readonly clock: Clock;
  /** What can be told here. */
  readonly can: CanTell;
}

/**
 * Tells each thread of a tree to be idle on disks, and where `heldTo` is given, to be nice and to use only these
 * processors.
 */
export async function throttleProcesses(
  identity: Identity,
  heldTo: string | undefined,
  before: ThrottledBefore,
  { can, clock }: TellPorts,
): Promise<ThrottleFacts> {
  const own = supervisorOf(identity);
  const ours = new Set([heldTo, before.read()?.heldTo]);
  const missed = new Set<number>();
  const told = new Set<string>();
  if (heldTo !== undefined) before.begin({ heldTo });
  for (let round = 0; round < roundsMax; round++) {
    const fresh = findThreads(identity).filter((thread) => !told.has(keyOfThread(thread)));
    for (const thread of fresh) {
      told.add(keyOfThread(thread));
      if (!mayTouch(thread.pid)) missed.add(thread.pid);
    }
    const threads = fresh.filter(({ pid }) => !missed.has(pid));
    if (threads.length === 0) break;
    if (heldTo !== undefined) {
      before.add(different(threads, own, ours));
      for (const { tid } of threads) renice(tid, niceMax);
      await niceSessions(threads, niceMax, clock);
    }
    const cpus = can.affinity ? heldTo : undefined;
    await tellThreads(threads.map(({ tid }) => ({ tid, io: can.io ? 'idle' : undefined, cpus })));
  }
  const weight = heldTo === undefined ? 'none' : 'nice';
  const cores = heldTo !== undefined && can.affinity ? 'affinity' : 'none';
  return { cores, weight, io: can.io ? 'class' : 'none', missed: [...missed] };
}

/** So many of the processors that the supervisor may use, the last ones. */
export function processorsFor(identity: Identity, cores: number): string {
  const allowed = parseCpus(supervisorOf(identity)?.cpus ?? '');
  return formatCpus(allowed.slice(-Math.max(1, Math.ceil(cores))));
}

/**
 * Undoes it, as far as the kernel lets us: an ordinary user may not make a process less nice, which then stays in
 * `weight`. What a thread has chosen for itself meanwhile stays.
 */
export async function releaseProcesses(
  identity: Identity,
  last: TreeBefore,
  { can, clock }: TellPorts,
): Promise<ThrottleFacts> {
  const own = supervisorOf(identity);
  const { heldTo } = last;
  const told = new Set<string>();
  let isNice = false;
  for (let round = 0; round < roundsMax; round++) {
    const fresh = findThreads(identity).filter((thread) => !told.has(keyOfThread(thread)) && mayTouch(thread.pid));
    if (fresh.length === 0) break;
    for (const thread of fresh) told.add(keyOfThread(thread));
    for (const thread of heldTo === undefined ? [] : fresh) {
      const nice = last.threads.get(keyOfThread(thread))?.nice ?? own?.nice ?? 0;
      if (thread.nice === niceMax && nice < niceMax && !renice(thread.tid, nice)) isNice = true;
    }
    if (heldTo !== undefined) await niceSessions(fresh, 0, clock);
    await tellThreads(
      fresh.map((thread) => {
        const list = last.threads.get(keyOfThread(thread))?.cpus ?? own?.cpus;
        // Whom an agent has told that died over it is nice, and held to other processors than these.
        const isOurs = can.affinity && heldTo !== undefined && (thread.cpus === heldTo || thread.nice === niceMax);
        return { tid: thread.tid, io: can.io ? 'none' : undefined, cpus: isOurs ? list : undefined };
      }),
    );
  }
  return { cores: 'none', weight: isNice ? 'nice' : 'none', io: 'none', missed: [] };
}

function supervisorOf({ pid }: Identity): ThreadFacts | undefined {
  return threadsOfProcess(pid)[0];
}

/** Those that must not become as their supervisor is when all is over. */
function different(
  threads: readonly ThreadFacts[],
  own: ThreadFacts | undefined,
  ours: ReadonlySet<string | undefined>,
): ReadonlyMap<string, ThreadBefore> {
  return new Map(
    threads
      // Throttled before, or started by one that was: it is nobody's own choice.
      .filter(({ nice, cpus }) => !(nice === niceMax && ours.has(cpus)))
      .filter(({ nice, cpus }) => nice !== own?.nice || cpus !== own.cpus)
      .map((thread) => [keyOfThread(thread), { nice: thread.nice, cpus: thread.cpus }]),
  );
}

function mayTouch(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ESRCH')) return true;
    if (isSystemError(error, 'EPERM')) return false;
    throw error;
  }
}

/** Of one thread. Answers false where that is not allowed. */
function renice(tid: number, nice: number): boolean {
  try {
    setPriority(tid, nice);
    return true;
  } catch (error) {
    // Node gives errors of the system that come this way a code and a cause of its own.
    const code = error instanceof Error && 'info' in error ? String(Object(error.info).code) : '';
    if (code === 'ESRCH') return true;
    if (code === 'EACCES' || code === 'EPERM') return false;
    throw error;
  }
}
