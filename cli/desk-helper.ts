import { background } from '../base/background.ts';
import { errorFromStatus } from '../base/channel/refusals.ts';
import { delay, systemClock } from '../base/clock.ts';
import { messageOf, RefusedError } from '../base/errors.ts';
import type { SessionReport } from '../proto/gen/labrun/v1/desk.ts';
import { type Desk, type DeskCommandOptions, withDesk } from './desk-connect.ts';
import { showNotices } from './desk-notices.ts';
import { exitCodes } from './exit.ts';
import type { Printer } from './print.ts';

/** Between two tries to reach an agent that is away, in milliseconds: nothing but its answer tells that it is back. */
const firstWaitMs = 1_000;
const lastWaitMs = 30_000;

/**
 * Runs in a desktop session and tells the agent of this machine when somebody acts in it, until the session ends. An
 * agent that restarts is told everything again.
 */
export async function deskHelper(_: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  const { watchSession } = await import('../node-agent/presence/main.ts');
  const leave = new AbortController();
  const stop = () => leave.abort(new Error('the session has ended'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  const latest = new Map<string, () => SessionReport>();
  let send: ((report: SessionReport) => void) | undefined;
  const watching = watchSession((make) => {
    const report = make();
    if (report.kind === 'gone') latest.delete(report.source);
    else latest.set(report.source, make);
    send?.(report);
  }, leave.signal);
  background(watching);
  try {
    await reportAll(options, leave.signal, print, (write) => {
      send = write;
      if (write) for (const make of latest.values()) write(make());
    });
  } finally {
    // Who is not let in watches nothing either.
    stop();
    await watching;
  }
  return exitCodes.done;
}

/** Until the session ends; `begun` gets what writes a report whenever an agent listens, and nothing when it is gone. */
async function reportAll(
  options: DeskCommandOptions,
  until: AbortSignal,
  print: Printer,
  begun: (write: ((report: SessionReport) => void) | undefined) => void,
): Promise<void> {
  for (let waitMs = firstWaitMs; !until.aborted; ) {
    const beganMs = systemClock.monotonicMs();
    try {
      await withDesk(options, (desk) => Promise.all([report(desk, until, begun), showNotices(desk, until, print)]));
    } catch (error) {
      // One that has too much to do now may listen later.
      if (error instanceof RefusedError && error.refusal.code !== 'busy') throw error;
      print.note(`${messageOf(error)}; trying on`);
    } finally {
      begun(undefined);
    }
    await delay(systemClock, waitMs, until).catch(() => undefined); // only the end of the session ends it early
    const wasThere = systemClock.monotonicMs() - beganMs > lastWaitMs;
    waitMs = wasThere ? firstWaitMs : Math.min(lastWaitMs, waitMs * 2);
  }
}

/** Reports for as long as the agent listens. What it does not read in time is few words, each in place of the last. */
function report(
  { client, prove }: Desk,
  until: AbortSignal,
  begun: (write: (report: SessionReport) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.report(prove(), (error) => {
      until.removeEventListener('abort', end);
      if (error && !until.aborted) reject(errorFromStatus(error));
      else resolve();
    });
    const end = () => stream.end();
    until.addEventListener('abort', end, { once: true });
    begun((said) => void stream.write(said));
  });
}
