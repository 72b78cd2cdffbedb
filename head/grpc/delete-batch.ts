import { stat } from 'node:fs/promises';
import { orThrow } from '../../base/channel/answer.ts';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import type { DeleteBatchRequest, DeleteBatchResponse } from '../../proto/gen/labrun/v1/batches.ts';
import type { Publisher } from '../archive/publisher.ts';
import type { HeadEngine } from '../ports.ts';
import { knownBatch } from '../scheduler/retired.ts';
import type { Usage } from '../usage.ts';
import { actorOf } from '../wire.ts';
import { type FindPorts, findBatch } from './find-jobs.ts';
import type { CallFacts } from './handle.ts';

/** What deleting results needs. */
export interface DeletePorts extends FindPorts {
  readonly publisher: Publisher;
  readonly usage: Usage;
}

/** Removes a batch's results from the archive. They are out of it when this resolves; their room comes back soon after. */
export async function deleteBatch(
  ports: DeletePorts,
  request: DeleteBatchRequest,
  facts: CallFacts,
): Promise<DeleteBatchResponse> {
  const { batchId, namespace, name, selection } = await findBatch(ports, request.selector, facts);
  if (selection.job !== '' || selection.states.size + selection.reasons.size + selection.where.length > 0) {
    throw new RefusedError(
      refused('invalid', `Cannot delete some jobs of "${namespace}/${name}": results go with their whole batch`),
    );
  }
  const verdict = orThrow(await ports.engine.submit(actorOf(facts.caller), { kind: 'delete-batch', batchId }));
  await ports.publisher.settled(batchId);
  ports.usage.archive.shrunk(namespace);
  return { namespace, name, batchId, deleted: verdict.kind === 'accepted' && verdict.events.length > 0 };
}

/** Refuses to show what is not there because somebody deleted it: who, and when. Anything else is left to the caller. */
export async function refuseDeleted(engine: Pick<HeadEngine, 'query'>, batchId: BatchId, what: string): Promise<void> {
  const deleted = await engine.query((state) => knownBatch(state, batchId)?.deleted);
  if (!deleted) return;
  const when = new Date(deleted.atMs).toISOString();
  throw new RefusedError(refused('not-found', `Cannot show ${what}: "${deleted.by.name}" deleted it on ${when}`));
}

/** Whether there is such a folder. */
export async function isThere(folder: string): Promise<boolean> {
  try {
    await stat(folder);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
