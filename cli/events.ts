import { readStream } from '../base/channel/streams.ts';
import { Fault } from '../base/errors.ts';
import type { EventView } from '../proto/gen/labrun/v1/events.ts';
import { again, reach } from './again.ts';
import { oneLine } from './colours.ts';
import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { exitCodes, usageError } from './exit.ts';
import { eventJson } from './json.ts';
import { localTimes } from './local-times.ts';
import { momentText, type Printer } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';

/** Tells what happened, oldest first; with `--follow` it goes on until it is stopped. */
export async function events(
  [text]: readonly string[],
  options: HeadOptions &
    SelectorOptions & { readonly follow?: boolean; readonly since?: string; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  if (options.since !== undefined && !/^\d{1,15}$/.test(options.since)) {
    throw usageError(`Cannot read --since "${options.since}": write a sequence number, as "seq" in --json`);
  }
  let since = BigInt(options.since ?? 0);
  const follow = options.follow ?? false;
  return withHead(options, async (head) => {
    const selector = text === undefined ? undefined : await chooseSelector(head, choices);
    if (follow) await reach(head);
    return again(
      print,
      async (heard) => {
        const stream = head.events.subscribe({ since, follow, selector }, head.metadata);
        for await (const { events: page } of readStream(stream)) {
          heard();
          if (options.json) await print.jsonPart(page.map((event) => `${JSON.stringify(eventJson(event))}\n`).join(''));
          else await print.lines(page.map((event) => oneLine(lineOf(event, print))));
          since = (page.at(-1)?.seq ?? since - 1n) + 1n; // a connection that breaks is taken up behind what was told
        }
        if (follow) throw new Fault('UNAVAILABLE', 'the head ended the call');
        return exitCodes.done;
      },
      { isReached: follow },
    );
  });
}

function lineOf(event: EventView, print: Printer): string {
  const { colour } = print;
  const subject = [event.namespace, event.batch, event.job].filter((part) => part !== '').join('/') || event.node;
  const message = localTimes(event.message);
  const text = `${event.seq}  ${momentText(event.atMs)}  ${event.kind}  ${subject}  ${message}`;
  return print.width === undefined
    ? text
    : `${colour.dim(`${event.seq}  ${momentText(event.atMs)}`)}  ${colour.bold(event.kind)}  ${subject}  ${message}`;
}
