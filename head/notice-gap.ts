import type { BatchId, NodeId } from '../base/ids.ts';
import type { Notices } from './notices.ts';
import type { HeadEngine } from './ports.ts';
import type { LogRecord } from './scheduler/event.ts';
import type { ClusterState } from './scheduler/state.ts';

/** Says what nodes know and the log does not: it must have lost its end. Answers how to stop. */
export function noticeGap(engine: Pick<HeadEngine, 'subscribe'>, notices: Notices): () => void {
  const counts = new Map<NodeId, number>();
  return engine.subscribe((records, state) => {
    for (const { event } of records) {
      if (event.kind !== 'attempt-found') continue;
      const count = (counts.get(event.nodeId) ?? 0) + 1;
      counts.set(event.nodeId, count);
    }
    for (const nodeId of new Set(records.flatMap(foundOn)))
      notices.say(`found ${nodeId}`, foundText(state, nodeId, counts));
  });
}

/** Says that a node holds attempts of batches that this head has never heard of, or no longer says so. */
export function noticeUnknown(notices: Notices, nodeId: NodeId, name: string, batches: ReadonlySet<BatchId>): void {
  const [first] = batches;
  if (first === undefined) return notices.unsay(`unknown ${nodeId}`);
  const more = batches.size > 1 ? ` and ${batches.size - 1} more` : '';
  notices.say(
    `unknown ${nodeId}`,
    `the node "${name}" holds results of batches that this head has no memory of (${first}${more}): they stay there; ` +
      'submit what is missing again',
  );
}

function foundOn({ event }: LogRecord): NodeId[] {
  return event.kind === 'attempt-found' ? [event.nodeId] : [];
}

function foundText(state: ClusterState, nodeId: NodeId, counts: ReadonlyMap<NodeId, number>): string {
  const name = state.nodes.get(nodeId)?.name ?? nodeId;
  const what = `the node "${name}" knows of ${counts.get(nodeId)} attempts that this head has no memory of`;
  // Without a restore or an accepted loss nobody has noticed until now that something is gone.
  return state.gap
    ? `${what}: they go on where their jobs had no other; see "labrun events" for job-found`
    : `${what}: the log has lost its end; jobs may run again, and no number is used twice. See "labrun events" for job-found`;
}
