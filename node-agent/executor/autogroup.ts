import { readFileSync, writeFileSync } from 'node:fs';
import { type Clock, delay } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import { withSpares } from '../../base/spare-descriptors.ts';

/** Most sessions of a tree that are told; of more than these the niceness of each process must do. */
const sessionsMax = 16;
/** Ordinary users may change one in a tenth of a second, all of them together; tries and waits in milliseconds. */
const triesMax = 20;
const againMs = 60;

/**
 * Desktop kernels weigh sessions, not processes: within one it counts how nice a process is, but against the programs of
 * another session only how nice the whole session is. Unlike a process, an ordinary user may make his session less nice
 * again. Does nothing where the kernel does not know of it, and leaves alone what it does not let us change.
 */
export async function niceSessions(
  processes: readonly { readonly pid: number }[],
  nice: number,
  clock: Clock,
): Promise<void> {
  const told = new Set<string>();
  for (const { pid } of processes) {
    const found = read(pid);
    if (found === undefined || told.has(found.name) || told.size >= sessionsMax) continue;
    told.add(found.name);
    if (found.nice === nice) continue;
    for (let tries = 1; !write(pid, nice) && tries < triesMax; tries++) await delay(clock, againMs);
  }
}

function read(pid: number): { readonly name: string; readonly nice: number } | undefined {
  try {
    const match = /^(\S+) nice (-?\d+)/.exec(withSpares(() => readFileSync(`/proc/${pid}/autogroup`, 'utf8')));
    return match?.[1] === undefined ? undefined : { name: match[1], nice: Number(match[2]) };
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
}

/** Answers false when it must be tried again. */
function write(pid: number, nice: number): boolean {
  try {
    withSpares(() => writeFileSync(`/proc/${pid}/autogroup`, String(nice), { flag: 'r+' }));
    return true;
  } catch (error) {
    if (isSystemError(error, 'EAGAIN')) return false;
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL')) return true;
    throw error;
  }
}
