import { refused } from '../../base/errors.ts';
import { nameKey } from '../../base/names.ts';
import type { Command, Verdict } from './command.ts';
import { rowState } from './job-rows.ts';
import { attemptNumberMax } from './limits.ts';
import { lastNumber } from './numbers.ts';
import type { ClusterState } from './state.ts';

/**
 * A result that lies whole in the archive, though this log has never accepted it. Where the log is known to have lost its
 * end, the job does not run again for it; what the log knows better stays. Of an attempt that was retried only the
 * number counts.
 */
export function decideArchiveFound(
  state: ClusterState,
  { kind: _kind, node, ...found }: Extract<Command, { readonly kind: 'find-archive' }>,
): Verdict {
  const { batchId, index, attempt } = found.attempt;
  const batch = state.batches.get(batchId);
  if (!state.gap || !batch || index >= batch.rows.count || attempt > attemptNumberMax)
    return refused('conflict', `Cannot take attempt ${attempt} of job ${index} from the archive: it is not missed`);
  const known = batch.rows.attempts[index] ?? 0;
  const isLive = attempt === known && rowState(batch.rows, index) === 'live';
  const isNews = isLive || attempt > (found.requeued ? lastNumber(batch, index) : known);
  if (!isNews) return { kind: 'accepted', events: [] };
  const nodeId = [...state.nodes.values()].find(({ name }) => nameKey(name) === nameKey(node))?.id;
  return { kind: 'accepted', events: [{ kind: 'archive-found', ...found, nodeId }] };
}
