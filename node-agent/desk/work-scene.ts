import { harmlessLine } from '../../base/harmless.ts';
import type { Attempt } from '../attempts/attempt.ts';
import { holdsCpus } from '../attempts/desired.ts';
import type { NodeYield } from '../effects/node-yields.ts';
import type { Scene } from './notices.ts';

/** Whether something goes on that sleep would stop. What somebody stopped for hours by their own word is not worth a waking machine. */
export function keepsAwake(attempts: readonly Attempt[], { step, cause }: NodeYield): boolean {
  return attempts.some(holdsCpus) && !(step === 'pause' && cause === 'asked');
}

/** What goes on here, for notices. A machine that sleeps works on as far as they are concerned. */
export function sceneOf(attempts: readonly Attempt[], { step, cause, reason, by }: NodeYield): Scene {
  const running = attempts.filter(({ phase }) => phase.kind === 'running');
  const users = [...new Set(running.map(({ assignment }) => harmlessLine(assignment.user)))];
  const isPaused = step === 'pause' && cause !== 'asleep' && running.every(({ pace }) => pace.share === 0);
  const kind = running.length === 0 ? 'idle' : isPaused ? 'paused' : 'working';
  return { kind, users, why: reason, asked: by !== '' };
}
