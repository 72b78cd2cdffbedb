import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { readStream } from '../base/channel/streams.ts';
import type { JobView } from '../proto/gen/labrun/v1/batches.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import type { Head } from './connect.ts';
import { isoTime } from './print.ts';

/** The selected jobs, in order. A batch has at most a million; they are read whole, since the header needs every axis. */
export async function readJobs(head: Head, selector: Selector): Promise<JobView[]> {
  const jobs: JobView[] = [];
  for await (const page of readStream(head.batches.jobs({ selector }, head.metadata))) jobs.push(...page.jobs);
  return jobs;
}

/** Every axis of these jobs, in order of appearance. */
export function axesOf(jobs: readonly JobView[]): string[] {
  return [...new Set(jobs.flatMap((job) => Object.keys(job.params)))];
}

/** Writes the selected jobs as a table: their parameters, where they ran, how they ended. */
export async function writeJobsTable(head: Head, selector: Selector, path: string): Promise<void> {
  const jobs = await readJobs(head, selector);
  const part = `${path}.labrun-part`;
  await rm(part, { force: true });
  await pipeline(linesOf(jobs), createWriteStream(part, { flags: 'wx' })); // never through a link of that name
  await rename(part, path);
}

function* linesOf(jobs: readonly JobView[]): Generator<string> {
  const axes = axesOf(jobs);
  // Scripts count columns: what is new comes last.
  const facts = ['state', 'reason', 'exit_code', 'node', 'attempt', 'started_at', 'finished_at', 'paused_ms'];
  yield csvLine(['job', ...axes, ...facts]);
  for (const job of jobs) {
    yield csvLine([
      job.name,
      ...axes.map((axis) => job.params[axis] ?? ''),
      job.state,
      job.reason,
      job.exitCode === undefined ? '' : String(job.exitCode),
      job.node,
      String(job.attempt),
      isoTime(job.startedAtMs) ?? '',
      isoTime(job.finishedAtMs) ?? '',
      String(job.pausedMs),
    ]);
  }
}

/** One line of CSV (RFC 4180, with a bare line feed). */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`;
}
