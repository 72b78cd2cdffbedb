import { call } from '../base/channel/client.ts';
import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { counted, type Printer } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';

/** Lets jobs wait again, stopping what runs of them, and says how many there were. */
export async function requeue(
  [text]: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly notOn?: string; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  return withHead(options, async (head) => {
    const selector = await chooseSelector(head, choices);
    const notOn = options.notOn ?? '';
    const answer = await call(head.batches, head.batches.requeue, { selector, notOn }, { metadata: head.metadata });
    if (options.json) print.json(answer);
    else {
      const of = answer.selected === answer.changed ? '' : ` of ${answer.selected} selected`;
      const done = notOn === '' ? 'requeued' : `kept from ${notOn}`;
      print.line(`${counted(answer.changed, 'job')}${of} ${done}`);
    }
    return exitCodes.done;
  });
}
