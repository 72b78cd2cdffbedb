import { systemClock } from '../base/clock.ts';
import { formatDuration } from '../config/units.ts';
import type { JobView } from '../proto/gen/labrun/v1/batches.ts';
import { localTimes } from './local-times.ts';
import { type Printer, stateText } from './print.ts';
import { tableText } from './table.ts';

/** Jobs, one a line. For how long each was paused is told where any was. */
export function jobsTable(jobs: readonly JobView[], print: Printer): string {
  const paused = jobs.map(pausedText);
  const isTold = paused.some((text) => text !== '');
  const columns = [
    { head: 'JOB', cuts: true },
    { head: 'STATE' },
    { head: 'NODE', cuts: true },
    { head: 'TIME', align: 'right' },
    ...(isTold ? [{ head: 'PAUSED', align: 'right' } as const] : []),
    { head: 'TRY', align: 'right' },
    { head: 'WHY', cuts: true },
  ] as const;
  const rows = jobs.map((job, at) => [
    job.name,
    stateText(print, job.state),
    job.node,
    timeText(job),
    ...(isTold ? [paused[at] ?? ''] : []),
    job.attempt > 0 ? String(job.attempt) : '',
    [job.reason, localTimes(job.message)].filter((part) => part !== '').join(': '),
  ]);
  return tableText(print, columns, rows);
}

/** For how long its processes were stopped; with the pause that goes on. */
function pausedText({ pausedMs, pausedSinceMs }: JobView): string {
  const nowMs = BigInt(Math.round(systemClock.nowMs()));
  // This machine's clock may be behind the head's.
  const nowPausedMs = pausedSinceMs === undefined || pausedSinceMs > nowMs ? 0n : nowMs - pausedSinceMs;
  const allMs = pausedMs + nowPausedMs;
  return allMs === 0n ? '' : formatDuration(Number(allMs));
}

/** How long it ran, paused or not. The head keeps whole seconds of what has ended. */
function timeText({ startedAtMs, finishedAtMs }: JobView): string {
  if (!startedAtMs || !finishedAtMs) return '';
  return finishedAtMs - startedAtMs < 1000n ? '<1s' : formatDuration(Number(finishedAtMs - startedAtMs));
}
