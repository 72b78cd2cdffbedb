import { orThrow } from '../../base/channel/answer.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { harmlessLine } from '../../base/harmless.ts';
import type { DrainRequest, DrainResponse, UndrainRequest } from '../../proto/gen/labrun/v1/nodes.ts';
import type { HeadEngine } from '../ports.ts';
import type { Command } from '../scheduler/command.ts';
import { actorOf } from '../wire.ts';
import { findNode } from './find-node.ts';
import type { CallFacts } from './handle.ts';

/** Longest reason of a drain, in characters. */
const reasonMax = 200;

type Engine = Pick<HeadEngine, 'query' | 'submit'>;

/** Keeps new jobs from a node. Throws `RefusedError`. */
export async function drain(
  engine: Engine,
  { node, reason }: DrainRequest,
  { caller }: CallFacts,
): Promise<DrainResponse> {
  if (reason.length > reasonMax) {
    const said = `its reason has ${reason.length} characters, at most ${reasonMax} are kept`;
    throw new RefusedError(refused('invalid', `Cannot drain node "${node}": ${said}`));
  }
  const nodeId = await findNode(engine, node, 'drain');
  return await change(engine, { kind: 'drain-node', nodeId, reason: harmlessLine(reason).trim() }, caller);
}

/** Lets a node have jobs again. Throws `RefusedError`. */
export async function undrain(engine: Engine, { node }: UndrainRequest, { caller }: CallFacts): Promise<DrainResponse> {
  const nodeId = await findNode(engine, node, 'undrain');
  return await change(engine, { kind: 'undrain-node', nodeId }, caller);
}

async function change(
  engine: Engine,
  command: Extract<Command, { kind: 'drain-node' | 'undrain-node' }>,
  caller: CallFacts['caller'],
): Promise<DrainResponse> {
  const { events } = orThrow(await engine.submit(actorOf(caller), command));
  return await engine.query((state) => {
    const node = state.nodes.get(command.nodeId);
    // What has not begun is asked back from a node that is drained.
    const begun = [...(node?.attempts ?? [])].filter((id) => state.attempts.get(id)?.phase.kind !== 'assigned');
    return { node: node?.name ?? '', changed: events.length > 0, running: begun.length };
  });
}
