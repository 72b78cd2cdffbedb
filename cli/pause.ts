import { call } from '../base/channel/client.ts';
import { systemClock, type Timer } from '../base/clock.ts';
import { readDuration } from '../config/units.ts';
import type { DeskState } from '../proto/gen/labrun/v1/desk.ts';
import { type DeskCommandOptions, deskState, withDesk } from './desk-connect.ts';
import { cutText, deskJson, yieldText } from './desk-text.ts';
import { exitCodes, usageError } from './exit.ts';
import type { Printer } from './print.ts';

/** Stopping everything takes a moment; a machine short of memory takes longer. */
const pauseDeadlineMs = 60_000;

/** Stops what runs on this machine, and lets nothing new start. */
export async function pause(
  [word]: readonly string[],
  options: DeskCommandOptions & {
    readonly for?: string;
    readonly until?: string;
    readonly reason?: string;
    readonly wait?: boolean;
  },
  print: Printer,
): Promise<number> {
  if (word !== undefined) {
    const hint = readDuration(word) === undefined ? '"labrun pause --help" tells its options' : `write --for ${word}`;
    throw usageError(`Cannot pause "${word}": ${hint}`);
  }
  const forMs = options.for === undefined ? undefined : readDuration(options.for);
  if (options.for !== undefined && forMs === undefined)
    throw usageError(`Cannot pause for "${options.for}": write a time such as 30m or 1h30m10s`);
  if (options.for !== undefined && options.until !== undefined)
    throw usageError('Cannot pause both for a time and until something: choose --for or --until');
  // From before the first word: a terminal that closes while everything stops must not leave it stopped.
  const wanted = options.wait ? untilInterrupted() : undefined;
  const state = await withDesk(options, ({ client, prove }) => {
    const request = {
      ...(forMs === undefined ? {} : { forMs: BigInt(forMs) }),
      reason: options.reason ?? '',
      until: options.until ?? '',
    };
    return call(client, client.pause, request, { metadata: prove(), deadlineMs: pauseDeadlineMs });
  });
  if (!wanted) return tell(state, options, print, afterPause(state, options));
  print.note(`${yieldText(state)}; Ctrl-C lets everything go on`);
  // Of several pauses the one that was just asked for is the last.
  const untilMs = Number(state.pauses.at(-1)?.untilMs ?? 0n);
  if (await wanted.within(untilMs - systemClock.nowMs())) return resume([], { ...options, all: false }, print);
  // It has ended by itself; one that the same person has asked for since is not this command's to end.
  return tell(await withDesk(options, deskState), options, print, []);
}

/** Whose else it is, and that it is shorter than it was to be. */
function afterPause(state: DeskState, { until }: { readonly until?: string }): string[] {
  const others = state.pauses.slice(0, -1).map(({ by }) => by);
  const cut = until === 'tomorrow' ? cutText(state) : undefined;
  return [
    ...(cut === undefined ? [] : [cut]),
    ...(others.length === 0 ? [] : [`Paused by ${others.join(', ')} as well: it goes on when no pause is left`]),
  ];
}

/** Ends the pause of this person, or of everybody. */
export async function resume(
  _: readonly string[],
  options: DeskCommandOptions & { readonly all?: boolean },
  print: Printer,
): Promise<number> {
  return withDesk(options, async ({ client, prove }) => {
    const all = options.all ?? false;
    const state = await call(client, client.resume, { all }, { metadata: prove(), deadlineMs: pauseDeadlineMs });
    const left = state.pauses.map(({ by }) => by).join(', ');
    const note = `No pause of yours is left; "labrun resume --all" ends that of ${left}, too`;
    return tell(state, options, print, left === '' ? [] : [note]);
  });
}

function tell(state: DeskState, options: DeskCommandOptions, print: Printer, notes: readonly string[]): number {
  if (options.json) print.json(deskJson(state));
  else {
    print.line(yieldText(state));
    for (const note of notes) print.note(note);
    if (state.trouble !== '') print.note(state.trouble);
  }
  return exitCodes.done;
}

/** Notices Ctrl-C, SIGTERM and a terminal that closes, from now on. */
function untilInterrupted(): { within(forMs: number): Promise<boolean> } {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const interrupted = new Promise<boolean>((resolve) => {
    for (const signal of signals) process.on(signal, () => resolve(true));
  });
  return {
    async within(forMs) {
      let timer: Timer | undefined;
      const ended = new Promise<boolean>((resolve) => {
        timer = systemClock.setTimer(forMs, () => resolve(false));
      });
      const first = await Promise.race([interrupted, ended]);
      timer?.cancel();
      return first;
    },
  };
}
