import { chooseSelector, type HeadOptions, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { axesOf, csvLine, readJobs } from './jobs-csv.ts';
import type { Printer } from './print.ts';
import { listFiles, readFiles } from './read-files.ts';
import { readSelector, type SelectorOptions } from './selector.ts';
import { tableText } from './table.ts';

/** Largest `result.json` that is read, in bytes: it is one flat object of a few values. */
const resultMaxBytes = 1_000_000;

type Values = Readonly<Record<string, unknown>>;

/** A table of the jobs' parameters and the values they wrote into `$LABRUN_ARCHIVE/result.json`. */
export async function results(
  [text]: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly csv?: boolean; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  return withHead(options, async (head) => {
    const selector = await chooseSelector(head, readSelector(text, options));
    const jobs = await readJobs(head, selector);
    const listing = await listFiles(head, selector, ['/result\\.json$'], []);
    const files = listing.files.filter((file) => file.path === 'result.json');
    const wanted = files.filter((file) => file.size <= resultMaxBytes);
    const texts = wanted.map((): Buffer[] => []);
    const requests = wanted.map(({ job, path }) => ({ job, path, offset: 0n }));
    for await (const chunk of requests.length === 0 ? [] : readFiles(head, listing.batchId, requests))
      texts[chunk.file]?.push(chunk.data);
    const values = new Map<string, Values>();
    for (const [at, { job }] of wanted.entries())
      values.set(job, readValues(job, Buffer.concat(texts[at] ?? []).toString('utf8'), print));
    for (const { job, size } of files)
      if (size > resultMaxBytes) print.note(`Left out the result of ${job}: it has ${size} bytes`);
    const axes = axesOf(jobs);
    const keys = [...new Set([...values.values()].flatMap((one) => Object.keys(one)))];
    const rows = jobs.map((job) => [
      job.name,
      ...axes.map((axis) => job.params[axis] ?? ''),
      job.state,
      ...keys.map((key) => cell(values.get(job.name)?.[key])),
    ]);
    const heads = ['job', ...axes, 'state', ...keys];
    if (options.json) {
      print.json({
        results: jobs.map((job) => ({
          job: job.name,
          state: job.state,
          params: job.params,
          values: values.get(job.name) ?? null,
        })),
      });
    } else if (options.csv) {
      // In a pipe values stay as they were written, byte for byte; only a terminal is spared their control characters.
      for (const row of [heads, ...rows]) await print.bytes(Buffer.from(csvLine(row)));
    } else {
      print.line(
        tableText(
          print,
          heads.map((head, at) => (at === 0 ? { head, cuts: true } : { head })),
          rows,
        ),
      );
    }
    return exitCodes.done;
  });
}

/** Reads one flat object. Anything else is said and left out: one bad job must not hide the others. */
function readValues(job: string, text: string, print: Printer): Values {
  try {
    const tree: unknown = JSON.parse(text);
    if (typeof tree === 'object' && tree !== null && !Array.isArray(tree)) return { ...tree };
    print.note(`Left out the result of ${job}: result.json must hold one object`);
  } catch (error) {
    print.note(
      `Left out the result of ${job}: result.json is no JSON (${error instanceof Error ? error.message : 'unreadable'})`,
    );
  }
  return {};
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
