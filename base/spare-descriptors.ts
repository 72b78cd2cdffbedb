import { closeSync, openSync } from 'node:fs';
import { isSystemError } from './errors.ts';

/** Descriptors kept: what a child process with its pipes takes, and a file besides. */
const sparesMax = 12;

/** One table of descriptors for a process, so one store of spares. */
const spares: number[] = [];

/**
 * Does something that must not fail for want of a file descriptor, such as finding the processes of a job: some are kept
 * for it, given up for just that long, and taken again. At once, so that nothing else of this thread gets them.
 */
export function withSpares<Result>(act: () => Result): Result {
  take();
  try {
    return act();
  } catch (error) {
    if (!isSystemError(error, 'EMFILE', 'ENFILE') || spares.length === 0) throw error;
    return giving(act);
  }
}

/** The same for what does not throw when it fails for it: the spares are given up before. */
export function giving<Result>(act: () => Result): Result {
  take();
  for (const spare of spares.splice(0)) closeSync(spare);
  try {
    return act();
  } finally {
    take();
  }
}

function take(): void {
  try {
    while (spares.length < sparesMax) spares.push(openSync('/dev/null', 'r'));
  } catch (error) {
    // There are none now; each later call tries again.
    if (!isSystemError(error, 'EMFILE', 'ENFILE')) throw error;
  }
}
