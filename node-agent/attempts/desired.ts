import type { AttemptId } from '../../base/ids.ts';
import type { Attempt } from './attempt.ts';

/**
 * Which of the attempts held may start now, in the order they were assigned: those whose cores are free. The head may
 * assign more than fits; the first that does not fit makes those behind it wait, so that a wide job is not passed by
 * narrow ones for ever.
 */
export function startable(attempts: Iterable<Attempt>, cpus: number): readonly AttemptId[] {
  const waiting: Attempt[] = [];
  let used = 0;
  for (const attempt of attempts) {
    if (attempt.phase.kind === 'assigned') waiting.push(attempt);
    else if (holdsCpus(attempt)) used += attempt.assignment.cpus;
  }
  const chosen: AttemptId[] = [];
  for (const attempt of waiting) {
    // A node that has shrunk since still runs what it was given, one at a time.
    if (used > 0 && used + attempt.assignment.cpus > cpus) break;
    used += attempt.assignment.cpus;
    chosen.push(attempt.id);
  }
  return chosen;
}

/** Cores of the attempts that wait until some are free. */
export function waitingCpus(attempts: Iterable<Attempt>): number {
  let cpus = 0;
  for (const { phase, assignment } of attempts) if (phase.kind === 'assigned') cpus += assignment.cpus;
  return cpus;
}

/** Whether cores are granted to it now: from its staging to the end of its processes. */
export function holdsCpus(attempt: Attempt): boolean {
  switch (attempt.phase.kind) {
    case 'staging':
    case 'building':
    case 'starting':
    case 'running':
      return true;
    default:
      return false;
  }
}
