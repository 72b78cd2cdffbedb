import { call } from '../base/channel/client.ts';
import type { ChangeJobsResponse } from '../proto/gen/labrun/v1/batches.ts';
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
      else print.line(sentence(verb, answer));
      return exitCodes.done;
    });
  };
}

/** What a cancel finds ended keeps its outcome, and what runs is not over yet: both are said. */
function sentence(verb: Verb, { changed, selected, stopping, over }: ChangeJobsResponse): string {
  const of = selected === changed ? '' : ` of ${selected} selected`;
  const rest = [
    ...(stopping > 0 ? [`, ${stopping} of them once ${stopping === 1 ? 'it has' : 'they have'} stopped`] : []),
    ...(over > 0 ? [`; ${over} had ended already and ${over === 1 ? 'keeps its' : 'keep their'} outcome`] : []),
  ];
  return `${counted(changed - over, 'job')}${of} ${done[verb]}${rest.join('')}`;
}
