import { retiredPlaceOf } from './archive/batch-folder.ts';
import { jobsIn } from './archive/jobs-file.ts';
import type { ArchiveLayout } from './archive/layout.ts';
import { type FailureFacts, FailureGroups } from './batch-view.ts';
import type { Retired } from './scheduler/state.ts';
import type { JobSeen } from './selected-jobs.ts';

/** The jobs of a retired batch, a page at a time, from its archive. Throws `Fault` "lost" when they are not there. */
export async function* retiredJobs(
  layout: ArchiveLayout,
  { id, namespace, name }: Retired,
): AsyncGenerator<readonly JobSeen[]> {
  const place = await retiredPlaceOf(layout, { batchId: id, namespace, name });
  yield* jobsIn(layout.batchOwn(place, 'jobs.jsonl'));
}

/** How the jobs of a retired batch failed, with the name of one of each kind. */
export async function retiredFailures(
  layout: ArchiveLayout,
  batch: Retired,
): Promise<readonly (FailureFacts & { readonly exampleJob: string })[]> {
  if (batch.counts.failed === 0) return [];
  const groups = new FailureGroups();
  const names = new Map<number, string>();
  for await (const page of retiredJobs(layout, batch)) {
    for (const { state, reason = '', message, index, part, specIndex, name } of page) {
      if (state === 'failed' && groups.add(reason, message, { index, part, specIndex })) names.set(index, name);
    }
  }
  return groups.list().map((group) => ({ ...group, exampleJob: names.get(group.example.index) ?? '' }));
}
