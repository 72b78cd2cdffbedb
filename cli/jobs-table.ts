import { formatDuration } from '../config/units.ts';
import type { JobView } from '../proto/gen/labrun/v1/batches.ts';
import { localTimes } from './local-times.ts';
import { type Printer, stateText } from './print.ts';
import { tableText } from './table.ts';

/** Jobs, one a line. */
export function jobsTable(jobs: readonly JobView[], print: Printer): string {
  const columns = [
    { head: 'JOB', cuts: true },
    { head: 'STATE' },
    { head: 'NODE', cuts: true },
    { head: 'TIME', align: 'right' },
    { head: 'TRY', align: 'right' },
    { head: 'WHY', cuts: true },
  ] as const;
  const rows = jobs.map((job) => [
    job.name,
    stateText(print, job.state),
    job.node,
    timeText(job),
    job.attempt > 0 ? String(job.attempt) : '',
    [job.reason, localTimes(job.message)].filter((part) => part !== '').join(': '),
  ]);
  return tableText(print, columns, rows);
}

/** How long it ran. The head keeps whole seconds of what has ended. */
function timeText({ startedAtMs, finishedAtMs }: JobView): string {
  if (!startedAtMs || !finishedAtMs) return '';
  return finishedAtMs - startedAtMs < 1000n ? '<1s' : formatDuration(Number(finishedAtMs - startedAtMs));
}
