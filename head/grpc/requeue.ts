import { orThrow } from '../../base/channel/answer.ts';
import type { ChangeJobsResponse, RequeueRequest } from '../../proto/gen/labrun/v1/batches.ts';
import { rangesOf } from '../scheduler/job-ranges.ts';
import { actorOf } from '../wire.ts';
import { type FindPorts, findBatch, findJobs } from './find-jobs.ts';
import { findNode } from './find-node.ts';
import type { CallFacts } from './handle.ts';

const ended: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled', 'cancelling']);
const waiting: ReadonlySet<string> = new Set(['queued', 'held']);

/** Stops what runs of the selected jobs and lets them wait again, perhaps never for one node. Throws `RefusedError`. */
export async function requeue(
  ports: FindPorts,
  { selector, notOn: text }: RequeueRequest,
  facts: CallFacts,
): Promise<ChangeJobsResponse> {
  const { batchId, selection } = await findBatch(ports, selector, facts);
  const notOn = text === '' ? undefined : await findNode(ports.engine, text, 'keep jobs from');
  const indices: number[] = [];
  let selected = 0;
  for await (const jobs of findJobs(ports, batchId, selection)) {
    selected += jobs.length;
    for (const { index, state } of jobs)
      if (!ended.has(state) && (notOn !== undefined || !waiting.has(state))) indices.push(index);
  }
  if (indices.length > 0) {
    const jobs = rangesOf(indices.sort((a, b) => a - b));
    orThrow(await ports.engine.submit(actorOf(facts.caller), { kind: 'requeue', batchId, jobs, notOn }));
  }
  return { changed: indices.length, selected, stopping: 0, over: 0 };
}
