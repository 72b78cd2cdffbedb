import { type DeskCommandOptions, deskState, withDesk } from './desk-connect.ts';
import { agoText, deskJson, deskText, presenceJson, presenceText } from './desk-text.ts';
import { exitCodes } from './exit.ts';
import type { Printer } from './print.ts';
import { tableText } from './table.ts';

/** What runs on this machine, whose it is, and what it does for the person at the desk. */
export async function deskStatus(_: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  const state = await withDesk(options, deskState);
  if (options.json) print.json(deskJson(state));
  else await print.lines(deskText(state, print));
  return exitCodes.done;
}

/** Every signal of presence, its age and its verdict. */
export async function presence(_: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  const { presence: view } = await withDesk(options, deskState);
  if (options.json) print.json(view ? presenceJson(view) : { present: false, why: 'dedicated', signals: [] });
  else if (!view) print.line('dedicated: nobody is watched for on this machine');
  else {
    print.line(presenceText(view));
    const columns = [
      { head: 'SIGNAL' },
      { head: 'SAYS' },
      { head: 'LAST SEEN' },
      { head: 'WHAT', cuts: true },
    ] as const;
    const rows = view.signals.map(({ name, verdict, lastActivityMs, detail }) => [
      name,
      verdict,
      lastActivityMs === undefined ? '' : agoText(lastActivityMs),
      detail,
    ]);
    print.line(tableText(print, columns, rows));
  }
  return exitCodes.done;
}
