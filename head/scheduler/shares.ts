import { nameKey } from '../../base/names.ts';
import {
  namespacesPerUserMax,
  openBatchesMax,
  openBatchesPerUserMax,
  openJobsMax,
  openJobsPerUserMax,
} from './limits.ts';
import { fullness } from './rank.ts';
import type { ClusterState } from './state.ts';

/** Why one person, or all together, may not have another batch of so many jobs; nothing when they may. */
export function shareProblem(
  state: ClusterState,
  { by, namespace }: { readonly by: string; readonly namespace: string },
  jobs: number,
): string | undefined {
  const full = fullness(state, namespace);
  if (full !== undefined) return full;
  const { own, all } = openOf(state, by);
  if (own.batches >= openBatchesPerUserMax) {
    return `${own.batches} batches of ${by} have not ended (at most ${openBatchesPerUserMax}); wait for some, or cancel them`;
  }
  if (all.batches >= openBatchesMax) {
    return `${all.batches} batches in the cluster have not ended (at most ${openBatchesMax}); try again when some have`;
  }
  const { namespaces } = state.access;
  if (!namespaces.has(nameKey(namespace))) {
    const owned = [...namespaces.values()].filter(({ owner }) => nameKey(owner) === nameKey(by)).length;
    if (owned >= namespacesPerUserMax) {
      return `${by} has ${owned} namespaces already (at most ${namespacesPerUserMax}); use one of them`;
    }
  }
  return tooManyJobs(by, own.jobs, all.jobs, jobs);
}

/** Why one person, or all together, may not have so many more jobs; nothing when they may. */
export function jobsProblem(state: ClusterState, by: string, jobs: number): string | undefined {
  const { own, all } = openOf(state, by);
  return tooManyJobs(by, own.jobs, all.jobs, jobs);
}

function tooManyJobs(by: string, own: number, all: number, more: number): string | undefined {
  if (own + more > openJobsPerUserMax) {
    return `${own} jobs of ${by} have not ended, with ${more} more there would be over ${openJobsPerUserMax}; wait for some, or cancel them`;
  }
  if (all + more > openJobsMax) {
    return `${all} jobs in the cluster have not ended, with ${more} more there would be over ${openJobsMax}; try again when some have`;
  }
  return undefined;
}

interface Open {
  batches: number;
  jobs: number;
}

/** What has not ended, of one person and of all. */
function openOf(state: ClusterState, by: string): { own: Open; all: Open } {
  const own: Open = { batches: 0, jobs: 0 };
  const all: Open = { batches: 0, jobs: 0 };
  const person = nameKey(by);
  for (const { ended, rows, submittedBy } of state.batches.values()) {
    if (ended) continue;
    const { queued, held, live } = rows.counts;
    for (const sum of nameKey(submittedBy.name) === person ? [own, all] : [all]) {
      sum.batches += 1;
      sum.jobs += queued + held + live;
    }
  }
  return { own, all };
}
