import { call } from '../base/channel/client.ts';
import { systemClock } from '../base/clock.ts';
import { readDuration } from '../config/units.ts';
import type { DeskState } from '../proto/gen/labrun/v1/desk.ts';
import { type DeskCommandOptions, withDesk } from './desk-connect.ts';
import { deskJson, yieldText } from './desk-text.ts';
import { exitCodes, usageError } from './exit.ts';
import type { Printer } from './print.ts';

/** Stopping everything takes a moment; a machine short of memory takes longer. */
const pauseDeadlineMs = 60_000;

/** Stops what runs on this machine, and lets nothing new start. */
export async function pause(
  _: readonly string[],
  options: DeskCommandOptions & {
    readonly for?: string;
    readonly until?: string;
    readonly reason?: string;
    readonly wait?: boolean;
  },
  print: Printer,
): Promise<number> {
  const forMs = options.for === undefined ? undefined : readDuration(options.for);
  if (options.for !== undefined && forMs === undefined)
    throw usageError(`Cannot pause for "${options.for}": write a time such as 30m or 1h30m10s`);
  if (options.for !== undefined && options.until !== undefined)
    throw usageError('Cannot pause both for a time and until something: choose --for or --until');
  return withDesk(options, async ({ client, prove }) => {
    const request = {
      ...(forMs === undefined ? {} : { forMs: BigInt(forMs) }),
      reason: options.reason ?? '',
      until: options.until ?? '',
    };
    const ask = { metadata: prove(), deadlineMs: pauseDeadlineMs };
    const state = await call(client, client.pause, request, ask);
    if (!options.wait) return tell(state, options, print);
    print.note(`${yieldText(state)}; Ctrl-C lets everything go on`);
    await untilInterrupted(Number(state.untilMs ?? 0n) - systemClock.nowMs());
    const after = await call(client, client.resume, { all: false }, { metadata: prove() });
    return tell(after, options, print);
  });
}

/** Ends the pause of this person, or of everybody. */
export async function resume(
  _: readonly string[],
  options: DeskCommandOptions & { readonly all?: boolean },
  print: Printer,
): Promise<number> {
  return withDesk(options, async ({ client, prove }) => {
    const state = await call(client, client.resume, { all: options.all ?? false }, { metadata: prove() });
    return tell(state, options, print);
  });
}

function tell(state: DeskState, options: DeskCommandOptions, print: Printer): number {
  if (options.json) print.json(deskJson(state));
  else {
    print.line(yieldText(state));
    const others = state.pauses.map(({ by }) => by).filter((by) => by !== state.by);
    if (others.length > 0) print.note(`Paused by ${others.join(', ')} as well; "labrun resume --all" ends every pause`);
  }
  return exitCodes.done;
}

/** Resolves at Ctrl-C or SIGTERM, or when the pause has ended by itself. */
function untilInterrupted(forMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      process.off('SIGINT', done);
      process.off('SIGTERM', done);
      process.off('SIGHUP', done);
      resolve();
    };
    const timer = systemClock.setTimer(forMs, done);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, done);
  });
}
