import { attemptId } from '../../base/ids.ts';
import { rowState } from './job-rows.ts';
import { waitingRows } from './queue.ts';
import { knownBatch } from './retired.ts';
import { type Batch, type ClusterState, rowStates } from './state.ts';

/** What is wrong with a state, as sentences; none when every invariant of docs/invariants.md holds. Slow: for tests. */
export function violations(state: ClusterState): string[] {
  return [
    ...[...state.batches.values()].flatMap((batch) => batchViolations(state, batch)),
    ...nameViolations(state),
    ...attemptViolations(state),
    ...nodeViolations(state),
  ];
}

function batchViolations(state: ClusterState, batch: Batch): string[] {
  const found: string[] = [];
  const counts = Object.fromEntries(rowStates.map((name) => [name, 0]));
  for (let index = 0; index < batch.rows.count; index++) {
    const row = rowState(batch.rows, index);
    counts[row] = (counts[row] ?? 0) + 1;
    const ref = { batchId: batch.id, index, attempt: batch.rows.attempts[index] ?? 0 };
    const live = state.attempts.has(attemptId(ref, ref.attempt));
    if (live !== (row === 'live'))
      found.push(`job ${index} of ${batch.name} is ${row} and its attempt is ${live ? '' : 'not '}live`);
  }
  for (const name of rowStates) {
    if (counts[name] !== batch.rows.counts[name])
      found.push(`${batch.name} counts ${batch.rows.counts[name]} ${name}, has ${counts[name]}`);
  }
  const waiting = batch.queues.map((queue) => [...waitingRows(queue, batch.rows)]);
  if (waiting.flat().length !== counts['queued'])
    found.push(`${batch.name} finds ${waiting.flat().length} of ${counts['queued']} waiting jobs`);
  if (new Set(waiting.flat()).size !== waiting.flat().length) found.push(`${batch.name} finds a waiting job twice`);
  batch.queues.forEach((queue, at) => {
    if (queue.queued !== waiting[at]?.length)
      found.push(`queue ${at} of ${batch.name} counts ${queue.queued}, has ${waiting[at]?.length}`);
  });
  const open = batch.rows.counts.queued + batch.rows.counts.held + batch.rows.counts.live;
  if (batch.ended !== undefined && open > 0) found.push(`${batch.name} has ended with ${open} open jobs`);
  if (batch.ended === undefined && open === 0 && !state.finished.has(batch.id))
    found.push(`${batch.name} has no open job and no end`);
  if (batch.maxRunning > 0 && batch.rows.counts.live > batch.maxRunning)
    found.push(`${batch.name} runs more than maxRunning`);
  for (const index of batch.secondTries.keys()) {
    const row = rowState(batch.rows, index);
    if (row !== 'queued' && row !== 'held' && row !== 'live')
      found.push(`job ${index} of ${batch.name} is ${row} and is still to be tried elsewhere`);
  }
  if (batch.ended !== undefined && batch.trials.size > 0) found.push(`${batch.name} has ended and keeps its trials`);
  return found;
}

function nameViolations(state: ClusterState): string[] {
  const found = [...state.retired.keys()].flatMap((id) =>
    state.batches.has(id) ? [`batch ${id} is retired and is not`] : [],
  );
  for (const [name, id] of state.batchByName)
    if (knownBatch(state, id) === undefined) found.push(`${name} names the batch ${id}, which is gone`);
  return found;
}

function attemptViolations(state: ClusterState): string[] {
  const found: string[] = [];
  for (const [id, attempt] of state.attempts) {
    const rows = state.batches.get(attempt.ref.batchId)?.rows;
    if (rows?.attempts[attempt.ref.index] !== attempt.ref.attempt) found.push(`attempt ${id} is not its job's last`);
    if (!state.nodes.get(attempt.nodeId)?.attempts.has(id)) found.push(`attempt ${id} is unknown to its node`);
  }
  return found;
}

function nodeViolations(state: ClusterState): string[] {
  const found: string[] = [];
  for (const node of state.nodes.values()) {
    const canary = node.quarantine?.canary;
    if (canary !== undefined && !node.attempts.has(canary))
      found.push(`node ${node.name} is tried with the dead ${canary}`);
    for (const id of node.attempts)
      if (!state.attempts.has(id)) found.push(`node ${node.name} holds the dead attempt ${id}`);
  }
  return found;
}
