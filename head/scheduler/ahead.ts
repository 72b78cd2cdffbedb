import { rowState } from './job-rows.ts';
import type { Batch, JobRows } from './state.ts';

/** Jobs that tell how long the next ones will take. */
const sample = 64;
/** They are short when together they took no longer, in seconds: then a wave is over in some 30 ms. */
const shortS = 2;
/** Waves of short jobs given ahead: no more than a quarter of a second of work. */
const wavesOfShort = 8;

/**
 * How many waves of jobs a node may be given beyond its cores. One, so that the next job is there when a slot frees; more
 * where jobs are so short that to hear of each and to give the next would cost more than they do. That is nobody's loss
 * only while nothing else waits: else those who come first are to have what becomes free.
 */
export function wavesAhead(open: readonly Batch[]): number {
  const [batch] = open;
  if (!batch || open.length > 1 || batch.secondTries.size > 0 || batch.exclusions.size > 0) return 1;
  let next: number | undefined;
  for (const { queued, cursor } of batch.queues) {
    if (queued === 0) continue;
    if (next !== undefined) return 1;
    next = cursor;
  }
  return next !== undefined && wereShort(batch.rows, next) ? wavesOfShort : 1;
}

/** Whether all of the last jobs before this one succeeded, and within a short time. Rows tell whole seconds: one of many begins in one and ends in the next. */
function wereShort(rows: JobRows, before: number): boolean {
  const oldest = Math.max(0, before - sample - rows.counts.live);
  let [ended, tookS] = [0, 0];
  for (let index = before - 1; index >= oldest && ended < sample; index--) {
    const state = rowState(rows, index);
    if (state === 'live' || state === 'queued') continue;
    tookS += (rows.endedS[index] ?? 0) - (rows.startedS[index] ?? 0);
    if (state !== 'succeeded' || tookS > shortS) return false;
    ended += 1;
  }
  return ended === sample;
}
