import { background } from '../../base/background.ts';
import { type Clock, delay } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';

/** First and longest wait before the next try, in milliseconds. */
const waitMinMs = 1_000;
const waitMaxMs = 60_000;

/**
 * Keeps a connection: `live` opens one and resolves (or rejects) when it has ended; `lost` hears why, and after a wait
 * that grows while nothing lasts it is tried again. `close` ends the one that is open.
 */
export function keepConnected(
  clock: Clock,
  live: (signal: AbortSignal) => Promise<string>,
  lost: (why: string) => void,
): { close(): Promise<void> } {
  const stop = new AbortController();
  const running = run(clock, live, lost, stop.signal);
  background(running);
  return {
    async close() {
      stop.abort();
      await running;
    },
  };
}

async function run(
  clock: Clock,
  live: (signal: AbortSignal) => Promise<string>,
  lost: (why: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let waitMs = waitMinMs;
  while (!signal.aborted) {
    const beganMs = clock.monotonicMs();
    const why = await live(signal).catch(messageOf);
    if (signal.aborted) return;
    lost(why);
    waitMs = clock.monotonicMs() - beganMs > waitMaxMs ? waitMinMs : Math.min(waitMs * 2, waitMaxMs);
    await delay(clock, waitMs, signal).catch(() => undefined); // only `close` ends it early, and the loop sees that
  }
}
