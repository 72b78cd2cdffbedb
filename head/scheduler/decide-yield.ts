import { refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import type { Command, Verdict } from './command.ts';
import type { Event } from './event.ts';
import { recallUnbegun } from './recall.ts';
import type { ClusterState } from './state.ts';
import { isSameYield, type ToldYield, unyielding, type Yielding } from './yielding.ts';

type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

/** A node tells what it does for the person at its desk. */
export function decideYield(state: ClusterState, command: CommandOf<'note-yield'>, nowMs: number): Verdict {
  const { nodeId, told } = command;
  if (!state.nodes.has(nodeId))
    return refused('not-found', `Cannot note what node "${nodeId}" yields: it has never said hello`);
  return { kind: 'accepted', events: yieldEvents(state, nodeId, told, nowMs) };
}

/**
 * What follows from it; nothing when nothing that matters is new. Jobs that wait on a node which takes none now are
 * asked back, to run elsewhere.
 */
export function yieldEvents(
  state: ClusterState,
  nodeId: NodeId,
  told: ToldYield | undefined,
  nowMs: number,
): readonly Event[] {
  const node = state.nodes.get(nodeId);
  const yielding = told === undefined ? unyielding : onOurClock(told, nowMs);
  if (isSameYield(node?.yielding ?? unyielding, yielding)) return [];
  const noted: Event = { kind: 'node-yielded', nodeId, yielding };
  return yielding.takesJobs || !node ? [noted] : [noted, ...recallUnbegun(state, node)];
}

function onOurClock({ sinceMsAgo, endsInMs, ...told }: ToldYield, nowMs: number): Yielding {
  return {
    ...told,
    sinceMs: Math.max(0, nowMs - sinceMsAgo),
    untilMs: endsInMs === undefined ? undefined : nowMs + endsInMs,
  };
}
