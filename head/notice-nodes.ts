import type { NodeId } from '../base/ids.ts';
import type { Notices } from './notices.ts';
import type { HeadEngine } from './ports.ts';
import type { LogRecord } from './scheduler/event.ts';
import type { ClusterState } from './scheduler/state.ts';

/** Says which nodes that are here take no jobs, and why, until they do or have gone. Answers how to stop. */
export function noticeNodes(engine: Pick<HeadEngine, 'subscribe'>, notices: Notices): () => void {
  return engine.subscribe((records, state) => {
    for (const nodeId of new Set(records.flatMap(concerned))) noticeNode(state, nodeId, notices);
  });
}

function noticeNode(state: ClusterState, nodeId: NodeId, notices: Notices): void {
  const node = state.nodes.get(nodeId);
  const key = `trouble ${nodeId}`;
  if (!node?.connected || node.trouble === '') notices.unsay(key);
  else notices.say(key, `the node "${node.name}" takes no jobs: ${node.trouble}; it goes on by itself`);
}

function concerned({ event }: LogRecord): NodeId[] {
  switch (event.kind) {
    case 'node-troubled':
    case 'node-connected':
    case 'node-disconnected':
    case 'node-removed':
      return [event.nodeId];
    default:
      return [];
  }
}
