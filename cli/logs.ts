import { readStream } from '../base/channel/streams.ts';
import { again, reach } from './again.ts';
import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { exitCodes, usageError } from './exit.ts';
import type { Printer } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';

/**
 * Writes a log as it is; only a terminal gets control characters made harmless, a pipe gets the very bytes. With
 * `--follow` it goes on until the job has ended.
 */
export async function logs(
  [text]: readonly string[],
  options: HeadOptions &
    SelectorOptions & { readonly follow?: boolean; readonly build?: string; readonly attempt?: string },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  const attempt = Number(options.attempt ?? 0);
  if (!Number.isInteger(attempt) || attempt < 0 || attempt > 2 ** 31) {
    throw usageError(`Cannot read --attempt "${options.attempt}": write a number such as 1`);
  }
  return withHead(options, async (head) => {
    const selector = await chooseSelector(head, choices);
    const request = { selector, follow: options.follow ?? false, buildNode: options.build ?? '', attempt };
    if (request.follow) await reach(head);
    let offset = 0n;
    let offsetOf: number | undefined;
    return again(
      print,
      async (heard) => {
        for await (const chunk of readStream(head.archive.log({ ...request, offset, offsetOf }, head.metadata))) {
          heard();
          await print.bytes(chunk.data);
          // A connection that breaks is taken up behind what was shown.
          if (!chunk.last) [offset, offsetOf] = [chunk.offset + BigInt(chunk.data.length), chunk.attempt];
        }
        return exitCodes.done;
      },
      { isReached: request.follow },
    );
  });
}
