import { call } from '../base/channel/client.ts';
import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { jobJson } from './json.ts';
import { localTimes } from './local-times.ts';
import { type Printer, stateText } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';
import { tableText } from './table.ts';

/** Says why a job waits: one sentence, then the verdict of each node. */
export async function why(
  [text]: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  return withHead(options, async (head) => {
    const selector = await chooseSelector(head, choices);
    const answer = await call(head.batches, head.batches.explain, { selector }, { metadata: head.metadata });
    const { job, summary, nodes } = answer;
    if (options.json) {
      print.json({ job: job ? jobJson(job) : null, summary, nodes });
      return exitCodes.done;
    }
    print.line(
      `${job ? `${print.colour.bold(job.name)}  ${stateText(print, job.state)}: ` : ''}${localTimes(summary)}`,
    );
    if (nodes.length > 0) {
      const columns = [{ head: 'NODE', cuts: true }, { head: 'FITS' }, { head: 'WHY NOT', cuts: true }] as const;
      const rows = nodes.map(({ node, fits, reason }) => [
        node,
        fits ? print.colour.green('yes') : 'no',
        localTimes(reason),
      ]);
      print.line(`\n${tableText(print, columns, rows)}`);
    }
    return exitCodes.done;
  });
}
