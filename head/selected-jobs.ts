import { type Refusal, RefusedError, refused } from '../base/errors.ts';
import type { BatchId } from '../base/ids.ts';
import { nameKey } from '../base/names.ts';
import { type JobFacts, viewJob } from './job-view.ts';
import type { HeadEngine } from './ports.ts';
import { isGlob, matchesFilters, nameMatcher, type Selection } from './select.ts';
import type { NamedJob, Specs } from './specs.ts';

/** A job with everything people see of it. */
export type JobSeen = JobFacts & NamedJob;

/** Jobs looked at in one turn of the engine: a large batch does not keep others waiting. */
const pageMax = 2_000;
const candidatesMax = 10;

/** All jobs of a batch that is not retired, named, a page at a time. */
export async function* jobsOf(
  engine: Pick<HeadEngine, 'query'>,
  specs: Specs,
  batchId: BatchId,
): AsyncGenerator<readonly JobSeen[]> {
  const parts = await engine.query(
    (state) => state.batches.get(batchId)?.parts.map(({ specHash }) => ({ specHash })) ?? [],
  );
  const naming = await specs.naming(parts);
  for (let first = 0; ; first += pageMax) {
    const page = await jobsFrom(engine, batchId, first, parts.length);
    if (page.length === 0) return;
    yield page.map((facts) => ({ ...facts, ...pick(naming(facts)) }));
  }
}

/**
 * The jobs that a selection wants of a batch's, a page at a time, in index order. A name that fits no job may be the
 * beginning of exactly one. Throws nothing of its own; ends with a refusal when a name fits none or several.
 */
export async function* selectedJobs(
  pages: AsyncIterable<readonly JobSeen[]>,
  selection: Selection,
): AsyncGenerator<readonly JobSeen[], Refusal | undefined> {
  const matches = nameMatcher(selection.job);
  const exact = selection.job !== '' && !isGlob(selection.job);
  const begins: JobSeen[] = [];
  let named = 0;
  for await (const page of pages) {
    const wanted: JobSeen[] = [];
    for (const job of page) {
      if (matches(job.name)) {
        named += 1;
        if (matchesFilters(selection, job)) wanted.push(job);
      } else if (exact && begins.length <= candidatesMax && nameKey(job.name).startsWith(nameKey(selection.job))) {
        begins.push(job);
      }
    }
    if (wanted.length > 0) yield wanted;
  }
  if (!exact || named > 0) return undefined;
  const [only, another] = begins;
  if (!only) return refused('not-found', `Cannot find the job "${selection.job}" in the batch "${selection.batch}"`);
  if (another) {
    const names = begins.slice(0, candidatesMax).map(({ name }) => name);
    return refused(
      'conflict',
      `Cannot tell which job "${selection.job}" is: ${names.join(', ')}${begins.length > candidatesMax ? ', …' : ''}`,
    );
  }
  if (matchesFilters(selection, only)) yield [only];
  return undefined;
}

/** One page of a batch's rows. Rows of parts that came later are left out: their spec is not at hand. */
async function jobsFrom(engine: Pick<HeadEngine, 'query'>, batchId: BatchId, first: number, parts: number) {
  return await engine.query((state): JobFacts[] => {
    const batch = state.batches.get(batchId);
    if (!batch) {
      if (first === 0) return [];
      throw new RefusedError(
        refused('busy', 'Cannot go on listing its jobs: the batch has just been retired; ask again'),
      );
    }
    const count = Math.max(0, Math.min(pageMax, batch.rows.count - first));
    return Array.from({ length: count }, (_, at) => viewJob(state, batch, first + at)).filter(
      ({ part }) => part < parts,
    );
  });
}

function pick({ name, params }: NamedJob): NamedJob {
  return { name, params };
}
