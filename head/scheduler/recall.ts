import { attemptId } from '../../base/ids.ts';
import type { AttemptRef } from './attempt.ts';
import type { Event } from './event.ts';
import type { ClusterState, Node } from './state.ts';

/** Asks back what a node that takes no jobs has not begun, but for an attempt that has just ended. */
export function recallUnbegun(state: ClusterState, { attempts }: Node, ended?: AttemptRef): Event[] {
  const over = ended && attemptId(ended, ended.attempt);
  return [...attempts].flatMap((id): Event[] => {
    const attempt = state.attempts.get(id);
    const isWaiting = attempt?.phase.kind === 'assigned' && !attempt.recalled && !attempt.cancelling;
    return isWaiting && id !== over ? [{ kind: 'attempt-recalled', attempt: attempt.ref }] : [];
  });
}
