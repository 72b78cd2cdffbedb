import { background } from '../base/background.ts';
import { call } from '../base/channel/client.ts';
import { readStream } from '../base/channel/streams.ts';
import { systemClock, type Timer } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { DeskState } from '../proto/gen/labrun/v1/desk.ts';
import { deskStatus } from './desk.ts';
import { type Desk, type DeskCommandOptions, withDesk } from './desk-connect.ts';
import { deskText } from './desk-text.ts';
import { exitCodes } from './exit.ts';
import { makePrinter, type Printer } from './print.ts';
import { openScreen } from './screen.ts';

const halfHourMs = 1_800_000n;
/** Ages of jobs go on though nothing happens, in milliseconds. */
const redrawMs = 1_000;
const keysText = 'p pause 30 min   t until tomorrow   l until I leave   r go on   q quit';

/** A small live screen for whoever sits at this machine; in a pipe, its state once. */
export async function deskLive(args: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  if (options.json || print.width === undefined) return deskStatus(args, options, print);
  return withDesk(options, (desk) => show(desk, print));
}

async function show(desk: Desk, print: Printer): Promise<number> {
  const leave = new AbortController();
  let state: DeskState | undefined;
  let trouble = '';
  const draw = () => {
    // The width of the window may be another one now.
    const lines = state ? deskText(state, { ...print, width: makePrinter('never').width }) : ['…'];
    screen.draw([...lines, '', trouble === '' ? print.colour.dim(keysText) : print.colour.red(trouble)]);
  };
  const ask = async (asked: Promise<DeskState>) => {
    try {
      state = await asked;
      trouble = '';
    } catch (error) {
      trouble = messageOf(error);
    }
    draw();
  };
  const keys: Readonly<Record<string, () => void>> = {
    p: () => background(ask(pause(desk, { forMs: halfHourMs, until: '' }))),
    t: () => background(ask(pause(desk, { until: 'tomorrow' }))),
    l: () => background(ask(pause(desk, { until: 'away' }))),
    r: () => background(ask(call(desk.client, desk.client.resume, { all: false }, { metadata: desk.prove() }))),
    q: () => leave.abort(new Error('the screen was closed')),
  };
  const screen = openScreen((key) => keys[key]?.(), draw);
  let timer: Timer | undefined;
  const tick = () => {
    draw();
    timer = systemClock.setTimer(redrawMs, tick);
  };
  try {
    tick();
    for await (const next of readStream(desk.client.watch({ follow: true }, desk.prove()), leave.signal)) {
      state = next;
      draw();
    }
  } catch (error) {
    if (!leave.signal.aborted) throw error;
  } finally {
    timer?.cancel();
    screen.close();
  }
  return exitCodes.done;
}

function pause(desk: Desk, wish: { readonly forMs?: bigint; readonly until: string }): Promise<DeskState> {
  return call(desk.client, desk.client.pause, { ...wish, reason: '' }, { metadata: desk.prove() });
}
