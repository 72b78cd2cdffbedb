import { readStream } from '../base/channel/streams.ts';
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
    const request = { selector, follow: options.follow ?? false, buildNode: options.build ?? '', offset: 0n, attempt };
    for await (const chunk of readStream(head.archive.log(request, head.metadata))) {
      await print.bytes(chunk.data);
    }
    return exitCodes.done;
  });
}
