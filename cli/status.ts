import { call } from '../base/channel/client.ts';
import { readStream } from '../base/channel/streams.ts';
import { Fault } from '../base/errors.ts';
import type { BatchSummary, JobsPage, JobView } from '../proto/gen/labrun/v1/batches.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import type { Notice } from '../proto/gen/labrun/v1/upkeep.ts';
import { chooseSelector, type Head, type HeadOptions, wholeBatch, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { jobsTable } from './jobs-table.ts';
import { batchJson, jobJson } from './json.ts';
import { localTimes } from './local-times.ts';
import { counted, isoTime, momentText, type Printer, stateText } from './print.ts';
import { readSelector, type SelectorOptions } from './selector.ts';
import { tableText } from './table.ts';
import { failureText, noticeText } from './watch.ts';

/** Shows batches, or one batch with its jobs; failures are grouped, so that a hundred of one kind are one line. */
export async function status(
  [text]: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly all?: boolean; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const choices = readSelector(text, options);
  return withHead(options, async (head) => {
    if (choices[0].batch === '') return listBatches(head, choices[0], options, print);
    const selector = await chooseSelector(head, choices);
    const about = { metadata: head.metadata };
    const batch = await call(head.batches, head.batches.get, { selector: wholeBatch(selector) }, about);
    const pages = readStream(head.batches.jobs({ selector }, head.metadata));
    if (options.json) await writeJson(batch, pages, print);
    else {
      const jobs: JobView[] = [];
      for await (const page of pages) jobs.push(...page.jobs);
      showBatch(batch, jobs, print);
    }
    return exitCodes.done;
  });
}

/** One object, written as its jobs come: a million of them fit into no string. */
async function writeJson(batch: BatchSummary, pages: AsyncIterable<JobsPage>, print: Printer): Promise<void> {
  await print.jsonPart(`${JSON.stringify(batchJson(batch)).slice(0, -1)},"jobs":[`);
  let separator = '';
  for await (const { jobs } of pages) {
    if (jobs.length === 0) continue;
    await print.jsonPart(separator + jobs.map((job) => JSON.stringify(jobJson(job))).join(','));
    separator = ',';
  }
  await print.jsonPart(']}\n');
}

async function listBatches(
  head: Head,
  selector: Selector,
  options: { readonly all?: boolean; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const batches: BatchSummary[] = [];
  for (let pageToken = ''; ; ) {
    const request = { selector, all: options.all ?? false, pageToken };
    const page = await call(head.batches, head.batches.list, request, { metadata: head.metadata });
    batches.push(...page.batches);
    pageToken = page.nextPageToken;
    if (pageToken === '') break;
  }
  const notices = await noticesOf(head);
  if (!options.json) for (const { text } of notices) print.note(print.colour.yellow(`Note: ${localTimes(text)}`));
  if (options.json) {
    const told = notices.map(({ text, sinceMs }) => ({ text, since: isoTime(sinceMs) }));
    print.json({ batches: batches.map(batchJson), notices: told });
  } else if (batches.length > 0) {
    print.line(batchesTable(batches, print));
    for (const batch of batches) if (batch.notice !== '') print.note(noticeText(batch));
  } else
    print.note(options.all ? 'There is no batch' : 'You have no batch; see everyone\'s with "labrun status --all"');
  return exitCodes.done;
}

/** What is wrong at the head; nothing from a head of an older release, which does not say. */
async function noticesOf(head: Head): Promise<readonly Notice[]> {
  try {
    return (await call(head.upkeep, head.upkeep.notices, {}, { metadata: head.metadata })).notices;
  } catch (error) {
    if (error instanceof Fault && error.code === 'UNIMPLEMENTED') return [];
    throw error;
  }
}

function batchesTable(batches: readonly BatchSummary[], print: Printer): string {
  const columns = [
    { head: 'BATCH', cuts: true },
    { head: 'STATE' },
    { head: 'JOBS', align: 'right' },
    { head: 'DONE', align: 'right' },
    { head: 'FAILED', align: 'right' },
    { head: 'RUNNING', align: 'right' },
    { head: 'SUBMITTED' },
  ] as const;
  const rows = batches.map((batch) => {
    const { succeeded = 0, failed = 0, cancelled = 0, queued = 0, held = 0, ...live } = batch.counts;
    const running = sum(live);
    return [
      `${batch.namespace}/${batch.name}`,
      stateText(print, batch.state),
      String(running + succeeded + failed + cancelled + queued + held),
      String(succeeded),
      failed > 0 ? print.colour.red(String(failed)) : '0',
      runningText(running, batch.counts['paused'] ?? 0),
      momentText(batch.submittedAtMs),
    ];
  });
  return tableText(print, columns, rows);
}

/** How many jobs live, and how many of those stand still for somebody at a desk. */
function runningText(running: number, paused: number): string {
  return paused === 0 ? String(running) : `${running} (${paused} paused)`;
}

/** Jobs shown one a line in a terminal; above it the counts and the groups say more. */
const jobsShownMax = 200;

function showBatch(batch: BatchSummary, jobs: readonly JobView[], print: Printer): void {
  const { colour } = print;
  print.line(`${colour.bold(`${batch.namespace}/${batch.name}`)}  ${stateText(print, batch.state)}  ${batch.batchId}`);
  const counts = Object.entries(batch.counts).filter(([, count]) => count > 0);
  print.line(counts.map(([state, count]) => `${count} ${stateText(print, state)}`).join(', '));
  print.line(colour.dim(`submitted ${momentText(batch.submittedAtMs)} by ${batch.submittedBy}`));
  if (batch.notice !== '') print.line(colour.red(noticeText(batch)));
  if (batch.deletedAtMs !== undefined)
    print.line(colour.yellow(`results deleted ${momentText(batch.deletedAtMs)} by ${batch.deletedBy}`));
  for (const { node, message } of batch.buildFailures) {
    print.line(`${colour.red('build failed')} on ${node}: ${message} (labrun logs ${batch.name} --build ${node})`);
  }
  for (const group of batch.failures) {
    print.line(colour.red(failureText(batch, group)));
  }
  const shown = print.width === undefined ? jobs : jobs.slice(0, jobsShownMax);
  if (shown.length > 0) print.line(`\n${jobsTable(shown, print)}`);
  if (shown.length < jobs.length)
    print.note(`… and ${counted(jobs.length - shown.length, 'job')} more: narrow it with --state, or use --json`);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
