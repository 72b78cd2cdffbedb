import { delay, systemClock } from '../base/clock.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import type { Printer } from './print.ts';

/** How long a head that was there is waited for, and the pause between tries, in milliseconds. */
const lostMaxMs = 60_000;
const pauseMs = 500;

/**
 * Does a task again when the connection breaks: the head may only be restarted. For tasks that may be repeated, and only
 * once the head was `reached`: a head that never answered is a wrong address. Rejects with the last error when it stays
 * away, or with the signal's reason.
 */
export async function again<T>(
  print: Printer,
  reached: () => boolean,
  task: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let lostAtMs: number | undefined; ; ) {
    const triedAtMs = systemClock.monotonicMs();
    try {
      return await task();
    } catch (error) {
      signal?.throwIfAborted();
      if (!reached() || exitCodeOf(error) !== exitCodes.unreachable) throw error;
      // A try that went well for long was a connection: what is lost now is lost anew.
      if (lostAtMs === undefined || systemClock.monotonicMs() - triedAtMs > lostMaxMs) {
        print.note('The connection to the head is lost; trying again');
        lostAtMs = systemClock.monotonicMs();
      } else if (triedAtMs - lostAtMs > lostMaxMs) throw error;
      await delay(systemClock, pauseMs, signal);
    }
  }
}
