import { orThrow } from '../../base/channel/answer.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { attemptId, type NodeId } from '../../base/ids.ts';
import type { Selector } from '../../proto/gen/labrun/v1/common.ts';
import { refusal } from '../access.ts';
import type { AttemptRef } from '../scheduler/attempt.ts';
import { readSelection, resolveBatch } from '../select.ts';
import { type FindPorts, findJob } from './find-jobs.ts';
import { findNode } from './find-node.ts';
import type { CallFacts } from './handle.ts';

/** Where a terminal is to be. */
export interface ShellPlace {
  readonly nodeId: NodeId;
  readonly nodeName: string;
  /** Nothing: the node's own. */
  readonly inPlaceOf: AttemptRef | undefined;
  /** The job as people name it; empty: none. */
  readonly job: string;
}

/** What an agent says that it can open terminals, and run something else in them than a shell. */
const features = { shell: 'shell', command: 'shell.command' };

/**
 * The place of one running job, for who submitted it and the owner of its node; `what` is to run there. Throws
 * `RefusedError`.
 */
export async function placeInJob(
  ports: FindPorts,
  selector: Selector | undefined,
  { caller, pass }: CallFacts,
  what: keyof typeof features,
): Promise<ShellPlace> {
  const selection = orThrow(readSelection(selector, caller.name));
  const { engine } = ports;
  const found = await engine.query((state) => {
    const batch = resolveBatch(state, selection);
    const namespace = 'code' in batch ? selection.namespace : batch.namespace;
    // Who may not even read there does not learn what there is; the owner of a node sees jobs on it in any case.
    return { batch, unread: refusal(state.access, pass.who, 'batch.read', { namespace }) };
  });
  const { batch, unread } = found;
  if ('code' in batch) throw new RefusedError(unread ?? batch);
  const { id: batchId, namespace, name } = batch;
  const job = await findJob(ports, batchId, selection).catch((error: unknown) => {
    throw unread ? new RefusedError(unread) : error;
  });
  const { live, node, submitter } = await engine.query((state) => {
    const attempt = state.attempts.get(attemptId({ batchId, index: job.index }, job.attempt));
    const node = attempt && state.nodes.get(attempt.nodeId);
    return { live: attempt, node, submitter: state.batches.get(batchId)?.submittedBy.name };
  });
  await pass.about({ ...(node && { node: node.id }), ...(submitter && { submitter }) }).catch((error: unknown) => {
    throw unread ? new RefusedError(unread) : error;
  });
  const text = `${namespace}/${name}/${job.name}`;
  if (!live || !node || (live.phase.kind !== 'running' && live.phase.kind !== 'paused')) {
    const why = `it is ${job.state}, and there is a place to be only while it runs`;
    throw new RefusedError(refused('not-yet', `Cannot open a terminal in "${text}": ${why}`));
  }
  checkFeature(node, what);
  return { nodeId: node.id, nodeName: node.name, inPlaceOf: live.ref, job: text };
}

/** A node itself. Throws `RefusedError`. */
export async function placeOnNode(
  engine: FindPorts['engine'],
  text: string,
  what: keyof typeof features,
): Promise<ShellPlace> {
  const nodeId = await findNode(engine, text, 'open a terminal on');
  const node = await engine.query((state) => state.nodes.get(nodeId));
  if (node) checkFeature(node, what);
  return { nodeId, nodeName: node?.name ?? text, inPlaceOf: undefined, job: '' };
}

function checkFeature(
  node: { readonly name: string; readonly version: string; readonly features: readonly string[] },
  what: keyof typeof features,
) {
  if (node.features.includes(features[what])) return;
  const lacks = node.features.includes(features.shell) ? 'runs nothing but a shell in them' : 'knows no terminals';
  const why = `its labrun ${node.version} ${lacks}; bring it to the head's release`;
  throw new RefusedError(refused('unsupported', `Cannot open a terminal on "${node.name}": ${why}`));
}
