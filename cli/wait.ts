import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { batchJson } from './json.ts';
import type { Printer } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';
import { watchBatch } from './watch.ts';

/** Waits until a batch has ended. Exits 1 when a job failed or was cancelled. */
export async function wait(
  [text]: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  return withHead(options, async (head) => {
    const selector = await chooseSelector(head, choices);
    const watched = await watchBatch(head, selector, print);
    if (options.json && watched.batch) print.json(batchJson(watched.batch));
    return watched.code;
  });
}
