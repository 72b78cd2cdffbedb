import { call } from '../base/channel/client.ts';
import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { exitCodes, usageError } from './exit.ts';
import type { Printer } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';
import { askYesNo } from './terminal.ts';

/** Removes a batch's results from the archive, for good. Asks first. */
export async function deleteBatch(
  [text]: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly yes?: boolean; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  return withHead(options, async (head) => {
    const selector = await chooseSelector(head, choices);
    const { metadata } = head;
    const { namespace, name, batchId } = await call(head.batches, head.batches.get, { selector }, { metadata });
    if (!options.yes) await confirm(`${namespace}/${name}`);
    // By its id: what was asked about, whatever has taken its name meanwhile.
    const chosen = { ...selector, namespace, batch: batchId };
    const { deleted } = await call(head.batches, head.batches.delete, { selector: chosen }, { metadata });
    if (options.json) print.json({ namespace, name, id: batchId, deleted });
    else
      print.line(
        deleted ? `Deleted the results of ${namespace}/${name}; its batch.json stays` : 'They were deleted already',
      );
    return exitCodes.done;
  });
}

async function confirm(name: string): Promise<void> {
  if (!process.stdin.isTTY) throw usageError(`Cannot delete the results of ${name} without asking: add --yes`);
  const sure = await askYesNo(`Delete all results of ${name} from the archive, for good? [y/N] `);
  if (!sure) throw usageError(`Left ${name} as it is`);
}
