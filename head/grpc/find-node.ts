import { RefusedError, refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import { nameKey } from '../../base/names.ts';
import type { HeadEngine } from '../ports.ts';

/** The node of a name, or of an id. Throws `RefusedError` "not-found", which begins with "Cannot" and the deed. */
export async function findNode(engine: Pick<HeadEngine, 'query'>, text: string, deed: string): Promise<NodeId> {
  const found = await engine.query(
    (state) => [...state.nodes.values()].find(({ id, name }) => id === text || nameKey(name) === nameKey(text))?.id,
  );
  if (found === undefined)
    throw new RefusedError(
      refused('not-found', `Cannot ${deed} node "${text}": there is none of that name; labrun nodes shows them`),
    );
  return found;
}
