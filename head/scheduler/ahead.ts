import type { Attempt } from './attempt.ts';
import { coresTaken } from './fit.ts';
import { rowState } from './job-rows.ts';
import type { Batch, ClusterState, JobRows, Node } from './state.ts';

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
export function wavesAhead(open: readonly Batch[], nowMs: number): number {
  const [batch] = open;
  if (!batch || open.length > 1 || batch.secondTries.size > 0 || batch.exclusions.size > 0) return 1;
  let next: number | undefined;
  for (const { queued, cursor } of batch.queues) {
    if (queued === 0) continue;
    if (next !== undefined) return 1;
    next = cursor;
  }
  return next !== undefined && areShort(batch.rows, next, nowMs) ? wavesOfShort : 1;
}

/**
 * What a node has beyond one wave ahead, the last given first: it was thought to be short. Whoever comes now, or has room now, would
 * wait for all of it where it is not.
 */
export function* farAhead(state: ClusterState, node: Node): Generator<Attempt> {
  let beyond = coresTaken(state, node) - 2 * node.facts.cpus;
  if (beyond <= 0) return;
  for (const id of [...node.attempts].reverse()) {
    const attempt = state.attempts.get(id);
    if (attempt?.phase.kind !== 'assigned' || attempt.cancelling) continue;
    beyond -= attempt.cpus;
    if (!attempt.recalled) yield attempt;
    if (beyond <= 0) return;
  }
}

/**
 * Whether all of the last jobs before this one succeeded within a short time, and none goes on for longer. Rows tell whole
 * seconds: one of many begins in one and ends in the next.
 */
function areShort(rows: JobRows, before: number, nowMs: number): boolean {
  const oldest = Math.max(0, before - sample - rows.counts.live);
  let [ended, tookS] = [0, 0];
  for (let index = before - 1; index >= oldest && ended < sample; index--) {
    const state = rowState(rows, index);
    const startedS = rows.startedS[index] ?? 0;
    if (state === 'live' && startedS > 0 && nowMs / 1000 - startedS > shortS) return false;
    if (state === 'live' || state === 'queued') continue;
    tookS += (rows.endedS[index] ?? 0) - startedS;
    if (state !== 'succeeded' || tookS > shortS) return false;
    ended += 1;
  }
  return ended === sample;
}
