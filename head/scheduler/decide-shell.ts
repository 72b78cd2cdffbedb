import { refused } from '../../base/errors.ts';
import type { Command, Verdict } from './command.ts';
import type { ClusterState } from './state.ts';

/** Notes who has a terminal where, for people to read. What has ended is told also of an attempt that is over. */
export function decideShell(
  state: ClusterState,
  { shellId, nodeId, inPlaceOf, ended }: Extract<Command, { kind: 'note-shell' }>,
): Verdict {
  const node = state.nodes.get(nodeId);
  if (!ended && !node?.connected)
    return refused('not-yet', 'Cannot open a terminal: its node is not connected now; "labrun nodes" shows since when');
  // What was forgotten meanwhile has no place in the log any more.
  if (!node || (inPlaceOf && !state.batches.has(inPlaceOf.batchId))) return { kind: 'accepted', events: [] };
  const facts = { shellId, nodeId, inPlaceOf };
  const event = ended
    ? ({ kind: 'shell-closed', ...facts, message: ended.message } as const)
    : ({ kind: 'shell-opened', ...facts } as const);
  return { kind: 'accepted', events: [event] };
}
