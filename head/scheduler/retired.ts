import { type Refusal, refused } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import type { Command, Verdict } from './command.ts';
import { retireAfterMs } from './limits.ts';
import type { Batch, ClusterState, Retired } from './state.ts';

/** A batch, whether or not it is retired. */
export function knownBatch(state: ClusterState, id: BatchId): Batch | Retired | undefined {
  return state.batches.get(id) ?? state.retired.get(id);
}

/** The spec of a batch's first submission. */
export function specHashOf(batch: Batch | Retired): string | undefined {
  return 'parts' in batch ? batch.parts[0]?.specHash : batch.specHash;
}

/** What is kept of a batch that has ended. */
export function summaryOf(batch: Batch, ended: Retired['ended'], retiredAtMs: number): Retired {
  const { id, namespace, name, submittedBy, submittedAtMs, origin, deleted } = batch;
  const { succeeded, failed, cancelled } = batch.rows.counts;
  return {
    ...{ id, namespace, name, submittedBy, submittedAtMs, origin, deleted, ended, retiredAtMs },
    specHash: specHashOf(batch) ?? '',
    counts: { succeeded, failed, cancelled },
  };
}

/** When a batch may be retired, in milliseconds since 1970; nothing while it has not ended. */
export function retiresAtMs({ ended }: Batch): number | undefined {
  return ended && ended.atMs + retireAfterMs;
}

/** When the next batch may be retired; nothing while none has ended. */
export function nextRetirementMs(state: ClusterState): number | undefined {
  let next: number | undefined;
  for (const batch of state.batches.values()) {
    const atMs = retiresAtMs(batch);
    if (atMs !== undefined && (next === undefined || atMs < next)) next = atMs;
  }
  return next;
}

/** Its jobs have been written into its archive. They are still what they were then, since it has ended for so long. */
export function decideRetire(
  state: ClusterState,
  { batchId, deletedSeq }: Extract<Command, { readonly kind: 'retire-batch' }>,
  nowMs: number,
): Verdict {
  const batch = state.batches.get(batchId);
  if (!batch) return { kind: 'accepted', events: [] };
  const atMs = retiresAtMs(batch);
  // A deletion takes what was written before it away with the tree.
  if (atMs === undefined || atMs > nowMs || (batch.deleted?.seq ?? 0) !== deletedSeq) {
    return refused('conflict', `Cannot retire "${batch.namespace}/${batch.name}": something has happened to it`);
  }
  return { kind: 'accepted', events: [{ kind: 'batch-retired', batchId }] };
}

/** Why nothing can be done with jobs of a batch that is gone or retired. `deed` follows "Cannot". */
export function refuseGone(state: ClusterState, deed: string, batchId: BatchId): Refusal {
  const retired = state.retired.get(batchId);
  if (!retired) return refused('not-found', `Cannot ${deed}: the batch is gone`);
  const name = `${retired.namespace}/${retired.name}`;
  return refused(
    'conflict',
    `Cannot ${deed} of "${name}": it ended over ${retireAfterMs / 86_400_000} days ago and is kept in the archive alone; ` +
      'submit it again, with --replace or under another --name',
  );
}
