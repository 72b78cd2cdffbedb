import { asBatchId, attemptId } from '../../base/ids.ts';
import { locateJob } from '../../config/matrix.ts';
import type { BatchSpec, JobGroup, Needs } from '../../config/spec.ts';
import type { JobOrder } from '../../node-agent/ports.ts';
import { aLimit } from './an-executor.ts';

/** What a job that asks for nothing needs. */
export const noNeeds: Needs = {
  capabilities: [],
  cpus: 1,
  ranks: 0,
  threads: 0,
  memoryBytes: 0,
  diskBytes: 0,
  gpus: 0,
};

/** A group of one command job. */
export function aGroup(facts: Partial<JobGroup> = {}): JobGroup {
  const runtime = { kind: 'command' as const, run: { kind: 'argv' as const, argv: ['/bin/true'] } };
  const lists = { inputs: [], templates: [], archive: [], expect: [] };
  return { name: 'job', count: 1, needs: noNeeds, runtime, env: {}, timeLimitMs: 0, retries: 0, ...lists, ...facts };
}

/** A spec with one group. */
export function aBatchSpec(group: Partial<JobGroup> = {}, facts: Partial<BatchSpec> = {}): BatchSpec {
  const lists = { features: [], initialInputs: [], notify: [], sources: {} };
  const names = { origin: 'labrun' as const, namespace: 'lab', name: 'batch' };
  return { format: 1, env: {}, maxRunning: 0, groups: [aGroup(group)], ...names, ...lists, ...facts };
}

/** The order for one job of a spec. Each order has an attempt number of its own. */
export function aJobOrder(spec: BatchSpec, facts: Partial<JobOrder> = {}): JobOrder {
  const specIndex = facts.specIndex ?? 0;
  const { params, name } = locateJob(spec, specIndex);
  const batchId = asBatchId('01J00000000000000000000000');
  if (!batchId) throw new Error('the id of the test is no ULID');
  const attempt = orders++;
  const id = attemptId({ batchId, index: specIndex }, attempt);
  const where = { namespace: spec.namespace, batch: spec.name, jobName: name, index: specIndex };
  return { id, spec, specIndex, attempt, params, cpus: 2, memoryBytes: 2 ** 30, limits: aLimit(), ...where, ...facts };
}

let orders = 1;
