import { call } from '../base/channel/client.ts';
import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { exitCodes, usageError } from './exit.ts';
import { counted, type Printer } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';

type Verb = 'cancel' | 'hold' | 'release' | 'retry';

const done: Readonly<Record<Verb, string>> = {
  cancel: 'cancelled',
  hold: 'held',
  release: 'released',
  retry: 'queued again',
};

/** Changes the selected jobs and says how many there were. `retry` of a whole batch is refused: it must say which. */
export function change(verb: Verb) {
  return async (
    [text]: readonly string[],
    options: HeadOptions & SelectorOptions & { readonly json?: boolean },
    print: Printer,
  ): Promise<number> => {
    const choices = readSelector(text, options);
    return withHead(options, async (head) => {
      const selector = await chooseSelector(head, choices);
      const bare =
        selector.job === '' && [selector.states, selector.reasons, selector.where].every((one) => !one.length);
      if (verb === 'retry' && bare) {
        throw usageError(
          `Cannot retry all of "${text}": say which jobs, as in "labrun retry ${text} --state failed" or ${text}/JOB`,
        );
      }
      const answer = await call(head.batches, head.batches[verb], { selector }, { metadata: head.metadata });
      if (options.json) print.json(answer);
      else {
        const of = answer.selected === answer.changed ? '' : ` of ${answer.selected} selected`;
        print.line(`${counted(answer.changed, 'job')}${of} ${done[verb]}`);
      }
      return exitCodes.done;
    });
  };
}
