import { formatDuration } from '../config/units.ts';
import type { JobView } from '../proto/gen/labrun/v1/batches.ts';
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
    job.startedAtMs && job.finishedAtMs ? formatDuration(Number(job.finishedAtMs - job.startedAtMs)) : '',
    job.attempt > 0 ? String(job.attempt) : '',
    [job.reason, job.message].filter((part) => part !== '').join(': '),
  ]);
  return tableText(print, columns, rows);
}
