import { rowState } from './job-rows.ts';
import type { JobRows, Queue } from './state.ts';

/** The same, writable. */
export interface QueueDraft extends Queue {
  cursor: number;
  end: number;
  returned: number[];
  queued: number;
}

/** The queue that a job belongs to, by halving: queues stand in the order of their parts and groups. */
export function findQueue<Q extends Queue>(queues: readonly Q[], rows: JobRows, index: number): Q | undefined {
  const part = rows.part[index] ?? -1;
  const specIndex = rows.specIndex[index] ?? -1;
  let [low, high] = [0, queues.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const queue = queues[middle];
    if (!queue || queue.part > part || (queue.part === part && queue.specFirst > specIndex)) high = middle;
    else low = middle + 1;
  }
  const found = queues[low - 1];
  return found?.part === part && inGroup(found, specIndex) ? found : undefined;
}

/** The waiting jobs in the order they are to run. Looks only; `apply` moves the cursor. */
export function* waitingRows(queue: Queue, rows: JobRows): Generator<number> {
  let last = -1;
  for (const index of queue.returned) {
    if (index !== last && waits(queue, rows, index)) yield index;
    last = index;
  }
  for (let index = queue.cursor; index < queue.end; index++) if (waits(queue, rows, index)) yield index;
}

/** Whether a row waits in this very queue. */
function waits(queue: Queue, rows: JobRows, index: number): boolean {
  return (
    rowState(rows, index) === 'queued' && rows.part[index] === queue.part && inGroup(queue, rows.specIndex[index] ?? -1)
  );
}

function inGroup(queue: Queue, specIndex: number): boolean {
  return specIndex >= queue.specFirst && specIndex < queue.specEnd;
}

/** Forgets what no longer waits at the front. Called after rows have left the queue. */
export function advance(queue: QueueDraft, rows: JobRows): void {
  let gone = 0;
  while (gone < queue.returned.length && !waits(queue, rows, queue.returned[gone] ?? -1)) gone++;
  if (gone > 0) queue.returned.splice(0, gone);
  while (queue.cursor < queue.end && !waits(queue, rows, queue.cursor)) queue.cursor++;
}

/** Makes sure that rows which wait again are found: those before the cursor join the returned. */
export function giveBack(queue: QueueDraft, ascending: readonly number[]): void {
  const behind = ascending.filter((index) => index < queue.cursor || index >= queue.end);
  if (behind.length === 0) return;
  const [only] = behind;
  if (behind.length === 1 && only !== undefined) insert(queue.returned, only);
  else queue.returned = merge(queue.returned, behind);
}

/** One job among many that wait: found by halving, so that a retry costs no walk over all of them. */
function insert(ascending: number[], index: number): void {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? 0) < index) low = middle + 1;
    else high = middle;
  }
  if (ascending[low] !== index) ascending.splice(low, 0, index);
}

function merge(one: readonly number[], other: readonly number[]): number[] {
  const merged: number[] = [];
  let [a, b] = [0, 0];
  while (a < one.length || b < other.length) {
    const left = one[a] ?? Number.POSITIVE_INFINITY;
    const right = other[b] ?? Number.POSITIVE_INFINITY;
    merged.push(Math.min(left, right));
    if (left <= right) a++;
    if (right <= left) b++;
  }
  return merged;
}
