import { readStream } from '../base/channel/streams.ts';
import { Fault, RefusedError, refused } from '../base/errors.ts';
import type { JobView } from '../proto/gen/labrun/v1/batches.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import { again } from './again.ts';
import { chooseSelector, type Head, type HeadOptions, wholeBatch, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { readJobs } from './jobs-csv.ts';
import { batchJson, jobJson } from './json.ts';
import { counted, type Printer } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';
import { isStuck, noticeText, watchBatch } from './watch.ts';

/** Waits until a batch, or the jobs chosen of it, have ended. Exits 1 when one of them failed or was cancelled. */
export async function wait(
  [text]: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  return withHead(options, async (head) => {
    const selector = await chooseSelector(head, choices);
    if (JSON.stringify(selector) !== JSON.stringify(wholeBatch(selector))) {
      const jobs = await watchJobs(head, selector, print);
      if (options.json) print.json({ jobs: jobs.map(jobJson) });
      return jobs.every((job) => job.state === 'succeeded') ? exitCodes.done : exitCodes.failed;
    }
    const watched = await watchBatch(head, selector, print);
    if (options.json && watched.batch) print.json(batchJson(watched.batch));
    return watched.code;
  });
}

/**
 * Waits for some jobs of a batch: those that were chosen when the wait began, whatever state they are in later. Looks
 * again whenever something happens to the batch.
 */
async function watchJobs(head: Head, selector: Selector, print: Printer): Promise<JobView[]> {
  const chosen = new Set((await readJobs(head, selector)).map((job) => job.index));
  if (chosen.size === 0) {
    throw new RefusedError(
      refused('not-found', `Cannot wait: no job of "${selector.batch}" is selected; labrun status shows them`),
    );
  }
  // States change while waiting: only the name and the parameters choose from now on.
  const same = { ...selector, states: [], reasons: [] };
  return again(
    print,
    async (heard) => {
      for await (const batch of readStream(head.batches.watch({ selector: wholeBatch(selector) }, head.metadata))) {
        heard();
        const jobs = (await readJobs(head, same)).filter((job) => chosen.has(job.index));
        if (jobs.every((job) => ended.has(job.state))) {
          print.note(`${counted(jobs.length, 'job')} ended`);
          return jobs;
        }
        if (isStuck(batch) && jobs.every((job) => ended.has(job.state) || job.state === 'held')) {
          print.note(noticeText(batch));
          return jobs;
        }
      }
      const jobs = (await readJobs(head, same)).filter((job) => chosen.has(job.index));
      if (jobs.every((job) => ended.has(job.state))) return jobs;
      throw new Fault('UNAVAILABLE', 'the head ended the call before the jobs had ended');
    },
    { isReached: true },
  );
}

const ended: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled']);
