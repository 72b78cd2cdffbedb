import { setPriority } from 'node:os';
import type { Clock } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import type { ThrottleFacts } from '../ports.ts';
import { niceSessions } from './autogroup.ts';
import { formatCpus, parseCpus } from './cpu-list.ts';
import type { Identity } from './identity.ts';
import { canTell, tellThreads } from './tell-threads.ts';
import { findThreads, keyOfThread, type ThreadFacts, threadsOfProcess } from './thread-table.ts';
import type { ThreadBefore, ThrottledBefore, TreeBefore } from './throttled-before.ts';

/** The least that weighs anything against others. */
const niceMax = 19;
/** Looks for threads that are not throttled yet; each finds only what began while the one before it was at work. */
const roundsMax = 5;

/**
 * Tells each thread of a tree to be idle on disks, and where `cores` is given, to be nice and to use only so many
 * processors, the last ones that its supervisor may use.
 */
export async function throttleProcesses(
  identity: Identity,
  cores: number | undefined,
  before: ThrottledBefore,
  clock: Clock,
): Promise<ThrottleFacts> {
  const own = supervisorOf(identity);
  const can = await canTell();
  const cpus = cores === undefined ? undefined : lastCpus(own?.cpus ?? '', cores);
  const missed = new Set<number>();
  const told = new Set<string>();
  for (let round = 0; round < roundsMax; round++) {
    const fresh = findThreads(identity).filter((thread) => !told.has(keyOfThread(thread)));
    for (const thread of fresh) {
      told.add(keyOfThread(thread));
      if (!mayTouch(thread.pid)) missed.add(thread.pid);
    }
    const ours = fresh.filter(({ pid }) => !missed.has(pid));
    if (ours.length === 0) break;
    if (cpus !== undefined) {
      before.add(different(ours, own, cpus));
      for (const { tid } of ours) renice(tid, niceMax);
      await niceSessions(ours, niceMax, clock);
    }
    const list = can.affinity ? cpus : undefined;
    await tellThreads(ours.map(({ tid }) => ({ tid, io: can.io ? 'idle' : undefined, cpus: list })));
  }
  const weight = cpus === undefined ? 'none' : 'nice';
  const hasCores = cpus !== undefined && can.affinity;
  return { cores: hasCores ? 'affinity' : 'none', weight, io: can.io ? 'class' : 'none', missed: [...missed] };
}

/**
 * Undoes it, as far as the kernel lets us: an ordinary user may not make a process less nice, which then stays in
 * `weight`. What a thread has chosen for itself meanwhile stays.
 */
export async function releaseProcesses(identity: Identity, last: TreeBefore, clock: Clock): Promise<ThrottleFacts> {
  const own = supervisorOf(identity);
  const can = await canTell();
  const cpus = last.weight === undefined ? lastCpus(own?.cpus ?? '', last.cores) : undefined;
  const told = new Set<string>();
  let isNice = false;
  for (let round = 0; round < roundsMax; round++) {
    const fresh = findThreads(identity).filter((thread) => !told.has(keyOfThread(thread)) && mayTouch(thread.pid));
    if (fresh.length === 0) break;
    for (const thread of fresh) told.add(keyOfThread(thread));
    for (const thread of cpus === undefined ? [] : fresh) {
      const nice = last.threads.get(keyOfThread(thread))?.nice ?? own?.nice ?? 0;
      if (thread.nice === niceMax && nice < niceMax && !renice(thread.tid, nice)) isNice = true;
    }
    if (cpus !== undefined) await niceSessions(fresh, 0, clock);
    await tellThreads(
      fresh.map((thread) => {
        const list = last.threads.get(keyOfThread(thread))?.cpus ?? own?.cpus;
        const isOurs = can.affinity && thread.cpus === cpus;
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
  throttledCpus: string,
): ReadonlyMap<string, ThreadBefore> {
  return new Map(
    threads
      // Started by one that was throttled already: it is nobody's own choice.
      .filter(({ nice, cpus }) => !(nice === niceMax && cpus === throttledCpus))
      .filter(({ nice, cpus }) => nice !== own?.nice || cpus !== own.cpus)
      .map((thread) => [keyOfThread(thread), { nice: thread.nice, cpus: thread.cpus }]),
  );
}

function lastCpus(allowed: string, cores: number): string {
  return formatCpus(parseCpus(allowed).slice(-Math.max(1, Math.ceil(cores))));
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
