import type { Clock } from '../../base/clock.ts';
import type { Signal } from './signal.ts';

/** What the agent's own signals need to know of where it runs. */
export interface MachineSurroundings {
  /** As in `SessionSurroundings`: an agent that somebody started in their own session sees its display. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Accounts that jobs run as: their terminals and displays are nobody's. Empty where jobs run as the person. */
  readonly jobUids: readonly number[];
  /** Input devices to read in place of those of `/dev/input`: a FIFO where there is no device. */
  readonly inputPaths?: readonly string[];
}

/** The signals that an agent's account can read on this machine; not started yet. */
export function machineSignals(_around: MachineSurroundings): readonly Signal[] {
  return [];
}
