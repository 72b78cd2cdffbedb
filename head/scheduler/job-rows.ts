import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/ids.ts';
import type { FailureReason } from './event.ts';
import { failureReasons, type JobRows, type RowState, rowStates } from './state.ts';

/** The rows of one batch, writable. Only `apply` and its writers hold one; everyone else sees `JobRows`. */
export interface JobRowsDraft extends JobRows {
  count: number;
  state: Uint8Array;
  attempts: Uint32Array;
  node: Uint16Array;
  reason: Uint8Array;
  exitCode: Int16Array;
  startedS: Uint32Array;
  endedS: Uint32Array;
  retriesUsed: Uint8Array;
  losses: Uint8Array;
  part: Uint16Array;
  specIndex: Uint32Array;
  nodeIds: NodeId[];
  messages: Map<number, string>;
  pausedMs: Map<number, number>;
  counts: Record<RowState, number>;
}

/** The columns by name, for growing and for the disk. */
export const columns = {
  state: Uint8Array,
  attempts: Uint32Array,
  node: Uint16Array,
  reason: Uint8Array,
  exitCode: Int16Array,
  startedS: Uint32Array,
  endedS: Uint32Array,
  retriesUsed: Uint8Array,
  losses: Uint8Array,
  part: Uint16Array,
  specIndex: Uint32Array,
} as const;

/** Rows without any job. */
export function emptyRows(): JobRowsDraft {
  return {
    count: 0,
    state: new Uint8Array(0),
    attempts: new Uint32Array(0),
    node: new Uint16Array(0),
    reason: new Uint8Array(0),
    exitCode: new Int16Array(0),
    startedS: new Uint32Array(0),
    endedS: new Uint32Array(0),
    retriesUsed: new Uint8Array(0),
    losses: new Uint8Array(0),
    part: new Uint16Array(0),
    specIndex: new Uint32Array(0),
    nodeIds: [],
    messages: new Map(),
    pausedMs: new Map(),
    counts: { queued: 0, held: 0, live: 0, succeeded: 0, failed: 0, cancelled: 0 },
  };
}

/** Makes room for `more` jobs behind the last, all queued, and answers the first new index. */
export function addRows(rows: JobRowsDraft, more: number): number {
  const first = rows.count;
  const count = first + more;
  rows.state = grown(rows.state, new Uint8Array(count));
  rows.attempts = grown(rows.attempts, new Uint32Array(count));
  rows.node = grown(rows.node, new Uint16Array(count));
  rows.reason = grown(rows.reason, new Uint8Array(count));
  rows.exitCode = grown(rows.exitCode, new Int16Array(count).fill(-1));
  rows.startedS = grown(rows.startedS, new Uint32Array(count));
  rows.endedS = grown(rows.endedS, new Uint32Array(count));
  rows.retriesUsed = grown(rows.retriesUsed, new Uint8Array(count));
  rows.losses = grown(rows.losses, new Uint8Array(count));
  rows.part = grown(rows.part, new Uint16Array(count));
  rows.specIndex = grown(rows.specIndex, new Uint32Array(count));
  rows.count = count;
  rows.counts.queued += more;
  return first;
}

/** A job's state, as its row has it. */
export function rowState(rows: JobRows, index: number): RowState {
  const state = rowStates[rows.state[index] ?? -1];
  assert(state !== undefined, 'a row has a known state');
  return state;
}

/** Moves a job to another state and keeps the counts. */
export function setRowState(rows: JobRowsDraft, index: number, state: RowState): void {
  rows.counts[rowState(rows, index)] -= 1;
  rows.state[index] = rowStates.indexOf(state);
  rows.counts[state] += 1;
}

/** Why a job failed, or nothing. */
export function rowReason(rows: JobRows, index: number): FailureReason | undefined {
  return failureReasons[(rows.reason[index] ?? 0) - 1];
}

/** Notes why a job failed and the sentence that goes with it; nothing clears both. */
export function setRowReason(
  rows: JobRowsDraft,
  index: number,
  reason: FailureReason | undefined,
  message: string,
): void {
  rows.reason[index] = reason === undefined ? 0 : failureReasons.indexOf(reason) + 1;
  if (message === '') rows.messages.delete(index);
  else rows.messages.set(index, message);
}

/** Notes for how long in all a job's attempt was paused, in milliseconds. */
export function setRowPaused(rows: JobRowsDraft, index: number, pausedMs: number): void {
  if (pausedMs > 0) rows.pausedMs.set(index, pausedMs);
  else rows.pausedMs.delete(index);
}

/** The node of a job's last attempt, or nothing. */
export function rowNode(rows: JobRows, index: number): NodeId | undefined {
  return rows.nodeIds[(rows.node[index] ?? 0) - 1];
}

/** Notes the node of a job's attempt. */
export function setRowNode(rows: JobRowsDraft, index: number, nodeId: NodeId): void {
  let at = rows.nodeIds.indexOf(nodeId);
  if (at < 0) at = rows.nodeIds.push(nodeId) - 1;
  rows.node[index] = at + 1;
}

function grown<T extends { set(from: T): void }>(old: T, roomier: T): T {
  roomier.set(old);
  return roomier;
}
