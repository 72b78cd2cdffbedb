import { call } from '../base/channel/client.ts';
import { delay, systemClock } from '../base/clock.ts';
import type { Head } from './connect.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import type { Printer } from './print.ts';

/** How long a head that was there is waited for, and the pause between tries, in milliseconds. */
const lostMaxMs = 60_000;
const pauseMs = 500;

/** Asks the head for a word: one that has answered is waited for from then on, though what follows may be silent for long. */
export async function reach(head: Head): Promise<void> {
  await call(head.access, head.access.whoAmI, {}, { metadata: head.metadata });
}

/** What may be told of a task that is done again. */
export interface AgainOptions {
  /** Ends it, with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** The head has answered before: it is waited for from the first try on. */
  readonly isReached?: boolean;
}

/**
 * Does a task again when the connection breaks: the head may only be restarted. For tasks that may be repeated; they call
 * `heard` at every word of the head, since one that never answered is a wrong address and is not waited for, and a line
 * that breaks again and again will do as long as something comes through. Rejects with the last error when the head stays
 * away, or with the signal's reason.
 */
export async function again<T>(
  print: Printer,
  task: (heard: () => void) => Promise<T>,
  { signal, isReached = false }: AgainOptions = {},
): Promise<T> {
  let wasReached = isReached;
  for (let lostAtMs: number | undefined; ; ) {
    const triedAtMs = systemClock.monotonicMs();
    let isHeard = false;
    try {
      return await task(() => {
        isHeard = true;
      });
    } catch (error) {
      signal?.throwIfAborted();
      const nowMs = systemClock.monotonicMs();
      // What lasted for long was a connection, though nothing may have been said on it.
      const wentWell = isHeard || nowMs - triedAtMs > lostMaxMs;
      wasReached ||= wentWell;
      if (!wasReached || exitCodeOf(error) !== exitCodes.unreachable) throw error;
      if (lostAtMs === undefined || wentWell) {
        print.note('The connection to the head is lost; trying again');
        lostAtMs = nowMs;
      } else if (triedAtMs - lostAtMs > lostMaxMs) throw error;
      await delay(systemClock, pauseMs, signal);
    }
  }
}
